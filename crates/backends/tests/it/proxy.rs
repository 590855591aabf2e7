//! A way to a server that breaks off.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A port that leads to a server until that has sent so many bytes, over all connections.
pub struct Proxy {
    pub address: SocketAddr,
    left: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn to(server: SocketAddr, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let left = Arc::new(AtomicUsize::new(bytes));
        let counter = Arc::clone(&left);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(server).expect("the server is there");
                lead(client, server, Arc::clone(&counter));
            }
        });
        Self { address, left }
    }

    /// Lets everything through from now on.
    pub fn heal(&self) {
        self.left.store(usize::MAX, Ordering::Relaxed);
    }
}

fn lead(client: TcpStream, server: TcpStream, left: Arc<AtomicUsize>) {
    let (mut from_client, mut to_server) = (
        client.try_clone().expect("cloned"),
        server.try_clone().expect("cloned"),
    );
    std::thread::spawn(move || {
        std::io::copy(&mut from_client, &mut to_server).ok();
        to_server.shutdown(Shutdown::Write).ok();
    });
    std::thread::spawn(move || {
        let (mut client, mut server) = (client, server);
        let mut buffer = [0; 4_096];
        while let Ok(read) = server.read(&mut buffer) {
            let before = left.load(Ordering::Relaxed);
            if read == 0 || before < read || client.write_all(&buffer[..read]).is_err() {
                break;
            }
            if before != usize::MAX {
                left.store(before - read, Ordering::Relaxed);
            }
        }
        client.shutdown(Shutdown::Both).ok();
        server.shutdown(Shutdown::Both).ok();
    });
}
