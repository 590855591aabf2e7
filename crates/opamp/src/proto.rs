//! The protocol's messages, generated from the schema under `proto/`.
//!
//! Sessions hide most of them behind the plain types of `opamp-model`; what they carry without
//! looking into it (connection settings, packages) appears here as it travels.

#![allow(missing_docs, reason = "generated; the schema documents what needs it")]
#![allow(clippy::all, reason = "generated")]

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/opamp.proto.v1.rs"));

/// The compiled schema: a `google.protobuf.FileDescriptorSet` in its encoded form.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/opamp.bin"));

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("key", &self.key)
            .field("value", &"[redacted]")
            .finish()
    }
}

impl fmt::Debug for TlsCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCertificate")
            .field("cert_bytes", &self.cert.len())
            .field("private_key", &"[redacted]")
            .field("ca_cert_bytes", &self.ca_cert.len())
            .finish()
    }
}
