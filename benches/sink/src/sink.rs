//! A sink in this process: starts the server on threads of its own and hands out its port and its controls.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::faults::Faults;
use crate::options::Options;
use crate::server::{self, Server};
use crate::statistics::Statistics;
use crate::tls;
use crate::world::World;

/// Why a sink did not start.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A running sink; dropping it stops it.
#[derive(Debug)]
pub struct Sink {
    world: Arc<World>,
    address: SocketAddr,
    control_port: u16,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Listens and serves on threads of its own. A second port on 127.0.0.1 speaks plain HTTP in any case, for
    /// `/control`.
    ///
    /// # Errors
    /// A fault out of range, an address that cannot be bound, or no thread.
    pub fn start(options: Options) -> Result<Self, Error> {
        options.faults.validate()?;
        let mut runtime =
            if options.threads <= 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        let runtime = runtime.worker_threads(options.threads.max(1) as usize).enable_all().build()?;
        let alpn: &[&str] = match (options.h1_only, options.h2_only) {
            (true, _) => &["http/1.1"],
            (_, true) => &["h2"],
            (false, false) => &["h2", "http/1.1"],
        };
        let (tls, ca_pem) =
            if options.tls { tls::acceptor(alpn).map(|(tls, pem)| (Some(tls), Some(pem)))? } else { (None, None) };
        let (listener, port) = runtime.block_on(server::bind(options.listen))?;
        let (control, control_port) = runtime.block_on(server::bind((Ipv4Addr::LOCALHOST, 0).into()))?;
        let address = SocketAddr::new(options.listen.ip(), port);

        let (h1_only, h2_only) = (options.h1_only, options.h2_only);
        let world = Arc::new(World::new(options));
        let server = Arc::new(Server::new(Arc::clone(&world), h1_only, h2_only));
        let control_server = Arc::new(Server::new(Arc::clone(&world), false, false));
        let serve = async move {
            server::spawn(control_server.accept(control, None));
            server.accept(listener, tls).await;
        };
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("kinesis-sink".to_owned()).spawn(move || run(&runtime, serve, stopped))?;
        Ok(Self { world, address, control_port, ca_pem, stop: Some(stop), thread: Some(thread) })
    }

    /// The port it serves on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The port for `/control`, plain HTTP.
    #[must_use]
    pub fn control_port(&self) -> u16 {
        self.control_port
    }

    /// What a client is to be given as its endpoint: `https` if the sink was started with TLS.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        match self.address.ip() {
            ip if ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::LOCALHOST) => {
                format!("{scheme}://127.0.0.1:{}", self.port())
            }
            _ => format!("{scheme}://{}", self.address),
        }
    }

    /// The CA to trust, in PEM; none without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Everything counted so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.world.statistics()
    }

    /// Forgets all counts and what the checker saw; streams, shards and faults stay.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Splits and merges until `shards` are open, in one stream or in all there are.
    pub fn reshard(&self, stream: Option<&str>, shards: u32) {
        self.world.reshard(stream, shards.clamp(1, 10_000));
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.world.faults()
    }

    /// Replaces all faults; the window of `fail_for_ms` counts from now.
    ///
    /// # Errors
    /// Names the first value out of range; nothing has changed then.
    pub fn set_faults(&self, faults: Faults) -> Result<(), Error> {
        faults.validate()?;
        self.world.set_faults(faults);
        Ok(())
    }

    /// Closes all connections at once, answers owed or not.
    #[must_use]
    pub fn stop(mut self) -> Statistics {
        self.join();
        self.world.statistics()
    }

    fn join(&mut self) {
        // The thread has ended by itself only if it panicked, and then there is nothing to stop.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.join();
    }
}

fn run(runtime: &Runtime, serve: impl Future<Output = ()>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        tokio::select! {
            () = serve => {}
            _ = stopped => {}
        }
    });
}
