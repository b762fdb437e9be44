//! Links the addon so that it is never unloaded: one that was loaded only in a worker thread would otherwise vanish
//! under its own background thread when the worker exits.

fn main() {
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
