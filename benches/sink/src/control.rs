//! The control operations at `/control`, in JSON: `GET statistics`, `GET faults`, `POST faults` (the keys to change),
//! `POST reshard` (`{"shards": 8, "stream": "orders"}`; all streams if none is named) and `POST reset`.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reshard {
    shards: u32,
    stream: Option<String>,
}

/// Status and body of the answer.
pub(crate) fn answer(world: &World, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
    match run(world, method, path, body) {
        Ok(Some(value)) => (200, value),
        Ok(None) => (404, json!({"error": format!("{method} {path}: no such operation")})),
        Err(words) => (400, json!({"error": words})),
    }
}

fn run(world: &World, method: &Method, path: &str, body: &[u8]) -> Result<Option<Value>, String> {
    let written = |written: serde_json::Result<Value>| written.map(Some).map_err(|e| e.to_string());
    match (method.as_str(), path) {
        ("GET", "/control/statistics") => written(serde_json::to_value(world.statistics())),
        ("GET", "/control/faults") => written(serde_json::to_value(world.faults())),
        ("POST", "/control/faults") => {
            let keys = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            let faults = world.faults().changed_by(keys)?;
            world.set_faults(faults.clone());
            written(serde_json::to_value(faults))
        }
        ("POST", "/control/reshard") => {
            let Reshard { shards, stream } = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            if !(1..=10_000).contains(&shards) {
                return Err(format!("shards: {shards} is not in 1..=10000"));
            }
            world.reshard(stream.as_deref(), shards);
            Ok(Some(json!({"shards": shards})))
        }
        ("POST", "/control/reset") => {
            world.reset();
            Ok(Some(json!({})))
        }
        _ => Ok(None),
    }
}
