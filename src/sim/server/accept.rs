//! The accept loops of a simulated server.
//!
//! This file decides which HTTP a connection speaks and who its peer is. It must not know what is
//! said over it.

use std::io;
use std::net;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::control::Control;
use super::journal::{Connection, House};
use super::{ServerTls, http1, http2};
use crate::ids::Fingerprint;

/// The listeners of a server, and what stands behind them.
pub(super) struct Doors {
    pub(super) front: net::TcpListener,
    pub(super) tls: Option<ServerTls>,
    pub(super) control: Option<net::TcpListener>,
    pub(super) house: Arc<House>,
}

/// Accepts until told to stop. What is still open then ends with the runtime.
pub(super) async fn run(doors: Doors, stopped: oneshot::Receiver<()>) {
    let control_house = Arc::new(House::new(Arc::new(Control::new(doors.house.clone())), 0));
    let front = accept(doors.front, doors.tls.as_ref().map(ServerTls::acceptor), doors.house);
    let control = async {
        match doors.control {
            Some(listener) => accept(listener, None, control_house).await,
            None => std::future::pending().await,
        }
    };
    // The sender is dropped, not used: an error is the signal.
    tokio::select! {
        _ = stopped => {}
        _ = front => {}
        _ = control => {}
    }
}

async fn accept(
    listener: net::TcpListener,
    tls: Option<TlsAcceptor>,
    house: Arc<House>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or a caller that left in the queue: wait, then go on.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let (tls, house) = (tls.clone(), Arc::clone(&house));
        // What goes wrong on a connection is the peer's affair.
        tokio::spawn(async move { drop(converse(stream, tls, house).await) });
    }
}

async fn converse(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    house: Arc<House>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        let mut first = [0_u8; 3];
        let told = stream.peek(&mut first).await?;
        let connection = Connection { number: house.number_connection(), certificate: None, house };
        // RFC 9113 section 3.4: a connection of prior knowledge begins with `PRI * HTTP/2.0`.
        return match first.get(..told) {
            Some(b"PRI") => {
                let handle = socket2::SockRef::from(&stream).try_clone()?;
                http2::serve(stream, handle, connection).await
            }
            _ => http1::serve(stream, &connection).await,
        };
    };
    let stream = tls.accept(stream).await?;
    let (tcp, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.map(|der| Fingerprint::of_der(der));
    let connection = Connection { number: house.number_connection(), certificate, house };
    if session.alpn_protocol() == Some(b"h2") {
        let handle = socket2::SockRef::from(tcp).try_clone()?;
        return http2::serve(stream, handle, connection).await;
    }
    http1::serve(stream, &connection).await
}
