//! Chooses the locks of `core/src/sync.rs`.

fn main() {
    println!("cargo::rustc-cfg=flatbao_shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
