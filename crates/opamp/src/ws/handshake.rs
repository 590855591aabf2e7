//! The few lines of HTTP that open a WebSocket, for clients that do it by hand.

/// The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let _ = key;
    unimplemented!()
}

/// A client's opening request; `nonce` is fresh randomness, `headers` are further ones.
pub fn client_request(
    authority: &str,
    path: &str,
    nonce: [u8; 16],
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let _ = (authority, path, nonce, headers);
    unimplemented!()
}

/// Reads a server's answer: `None` while it is incomplete, else its length in bytes.
///
/// # Errors
/// The status code (0 for no HTTP at all) when the server did not switch to WebSocket.
pub fn server_accepts(response: &[u8], nonce: [u8; 16]) -> Result<Option<usize>, u16> {
    let _ = (response, nonce);
    unimplemented!()
}
