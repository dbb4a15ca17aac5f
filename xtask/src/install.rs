//! `cargo xtask install`: builds the C library and lays it out under a prefix as C and C++ programs expect it: headers, shared and
//! static library, a pkg-config file and a CMake package.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use crate::steps::root;

/// What is installed, and where.
#[derive(Args)]
pub(crate) struct Install {
    /// The folder that gets include/ and lib/.
    #[arg(long)]
    prefix: PathBuf,
    /// How it is built: dist is small and optimised, dev is built fast.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Builds the embedded service in as well, for tests of programs that use the library.
    #[arg(long)]
    local: bool,
}

const SONAME: &str = "libkinesis_producer.so.1";
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Install {
    pub(crate) fn run(&self) -> ExitCode {
        match self.build().and_then(|(folder, static_libs)| self.lay_out(&folder, &static_libs)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("install: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Builds the libraries; gives the folder that they lie in, and the system's libraries that the static one needs.
    fn build(&self) -> Result<(PathBuf, String), String> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["rustc", "-p", "kinesis-producer-c", "--profile", &self.profile]).current_dir(root());
        if self.local {
            command.args(["--features", "local"]);
        }
        command.args(["--message-format", "json-render-diagnostics", "--", "--print", "native-static-libs"]);
        let output = command.output().map_err(|error| format!("cargo cannot be started: {error}"))?;
        let words = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("cargo: {}\n{words}", output.status));
        }
        let files = String::from_utf8_lossy(&output.stdout);
        let shared =
            files.split('"').find(|text| Path::new(text).file_name().is_some_and(|name| name == shared_name()));
        let shared = shared.ok_or_else(|| format!("cargo built no {}\n{words}", shared_name()))?;
        let folder = Path::new(shared).parent().ok_or("the library lies nowhere")?.to_owned();
        Ok((folder, static_libs(&words, &files)))
    }

    fn lay_out(&self, built: &Path, static_libs: &str) -> Result<(), String> {
        let include = self.folder("include")?;
        let lib = self.folder("lib")?;
        let pkgconfig = self.folder("lib/pkgconfig")?;
        let cmake = self.folder("lib/cmake/kinesis-producer")?;
        self.folder("include/kinesis_producer")?;
        for header in headers(&root().join("include"))? {
            copy(&root().join("include").join(&header), &include.join(&header))?;
        }
        copy(&built.join("libkinesis_producer.a"), &lib.join("libkinesis_producer.a"))?;
        let shared = if cfg!(target_os = "linux") { SONAME } else { shared_name() };
        copy(&built.join(shared_name()), &lib.join(shared))?;
        if shared != shared_name() {
            link(shared, &lib.join(shared_name()))?;
        }
        let values = [
            ("@VERSION@", VERSION),
            ("@DEFINES@", if self.local { " -DKP_LOCAL" } else { "" }),
            ("@CMAKE_DEFINES@", if self.local { "KP_LOCAL" } else { "" }),
            ("@STATIC_LIBS@", static_libs),
            ("@SHARED@", shared),
            ("@SONAME@", shared),
        ];
        fill("kinesis-producer.pc", &pkgconfig, &values)?;
        fill("kinesis-producer-config.cmake", &cmake, &values)?;
        fill("kinesis-producer-config-version.cmake", &cmake, &values)
    }

    fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.prefix.join(name);
        fs::create_dir_all(&folder).map_err(said_of(&folder))?;
        Ok(folder)
    }
}

/// All headers of a folder and of the folders in it, by their names there.
fn headers(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(said_of(folder))? {
        let entry = entry.map_err(said_of(folder))?;
        let name = PathBuf::from(entry.file_name());
        if entry.path().is_dir() {
            found.extend(headers(&entry.path())?.into_iter().map(|inner| name.join(inner)));
        } else {
            found.push(name);
        }
    }
    Ok(found)
}

fn shared_name() -> &'static str {
    if cfg!(target_os = "macos") { "libkinesis_producer.dylib" } else { "libkinesis_producer.so" }
}

/// What rustc says that the static library needs: `-lm -lpthread …`; cargo repeats it when nothing had to be built.
fn static_libs(words: &str, messages: &str) -> String {
    let found = [words, messages].into_iter().find_map(|text| text.split_once("native-static-libs: "));
    let line = found.map_or("", |(_, rest)| rest.split(['\n', '\\', '"']).next().unwrap_or_default());
    let mut libs: Vec<&str> = line.split_whitespace().collect();
    libs.dedup();
    libs.join(" ")
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    // A library that runs now keeps its old file.
    let _ = fs::remove_file(to);
    fs::copy(from, to).map(|_| println!("{}", to.display())).map_err(said_of(from))
}

#[cfg(unix)]
fn link(target: &str, place: &Path) -> Result<(), String> {
    let _ = fs::remove_file(place);
    std::os::unix::fs::symlink(target, place).map(|()| println!("{}", place.display())).map_err(said_of(place))
}

#[cfg(not(unix))]
fn link(target: &str, place: &Path) -> Result<(), String> {
    copy(&place.with_file_name(target), place)
}

/// Writes one of the templates of `bindings/cpp`.
fn fill(name: &str, folder: &Path, values: &[(&str, &str)]) -> Result<(), String> {
    let template = root().join("bindings/cpp").join(format!("{name}.in"));
    let text = fs::read_to_string(&template).map_err(said_of(&template))?;
    let text = values.iter().fold(text, |text, (key, value)| text.replace(key, value));
    let place = folder.join(name);
    fs::write(&place, text).map(|()| println!("{}", place.display())).map_err(said_of(&place))
}

fn said_of(path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_the_system_are_read_from_what_rustc_says() {
        let said = "note: native-static-libs: -lgcc_s -lutil -lrt -lpthread -lm -lm -ldl -lc\n\nwarning";
        assert_eq!(static_libs(said, ""), "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc");
        assert_eq!(static_libs("", ""), "");
    }
}
