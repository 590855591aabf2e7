//! Compiles the schema under `proto/` with protox and prost; no protoc is needed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::prost::Message as _;

const MESSAGES: &str = "opamp/v1/opamp.proto";
#[cfg(feature = "grpc")]
const SERVICE: &str = "opamp/grpc/v1/service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let schema = protox::compile([MESSAGES], ["proto"])?;
    fs::write(out.join("opamp.bin"), schema.encode_to_vec())?;
    compile_messages(schema, &out)?;
    #[cfg(feature = "grpc")]
    compile_service(&out)?;
    Ok(())
}

/// Maps become `BTreeMap`, so that equal content has equal bytes.
///
/// Messages that hold secrets get a redacting `Debug` by hand instead of a derived one.
fn compile_messages(
    schema: protox::prost_reflect::prost_types::FileDescriptorSet,
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    prost_build::Config::new()
        .out_dir(out)
        .btree_map(["."])
        .skip_debug(["opamp.proto.v1.Header", "opamp.proto.v1.TLSCertificate"])
        .compile_fds(schema)?;
    Ok(())
}

/// An rpc named `Connect` would collide with tonic's generated `connect()`, hence no transport.
#[cfg(feature = "grpc")]
fn compile_service(out: &Path) -> Result<(), Box<dyn Error>> {
    let service = protox::compile([SERVICE], ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".opamp.proto.v1", "crate::proto")
        .out_dir(out)
        .compile_fds(service)?;
    Ok(())
}
