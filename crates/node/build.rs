//! Links the addon so that it is never unloaded. Otherwise an addon that only a worker thread has loaded would be unloaded
//! when the worker exits, under the background thread of the addon.

fn main() {
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
