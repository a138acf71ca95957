//! Handshakes whose outcome a test wants to see: what was shown, whether the session resumed, and
//! whether a call after it was answered.
//!
//! This file decides how they are made. It must not know what a good outcome is.

use std::sync::Arc;

use corgate::ids::Fingerprint;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ask::Ask;
use crate::world::{World, wait};

/// One handshake, and one call over HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Shake {
    /// Whether it was a whole one.
    pub(crate) kind: HandshakeKind,
    /// The certificate of the edge, as the session has it.
    pub(crate) shown: Fingerprint,
    /// Whether the call was answered.
    pub(crate) answered: bool,
}

impl Shake {
    /// Sessions resume as far as `config` remembers them. `None` when the handshake fails.
    pub(crate) fn make(world: &World, config: &Arc<ClientConfig>, ask: &Ask) -> Option<Self> {
        let connector = TlsConnector::from(config.clone());
        let name = ServerName::try_from("localhost").unwrap();
        world.notes().learn_ask(ask);
        wait(async {
            let tcp = TcpStream::connect(world.address(0)).await.unwrap();
            let mut stream = connector.connect(name, tcp).await.ok()?;
            let session = stream.get_ref().1;
            let kind = session.handshake_kind().unwrap();
            let shown = Fingerprint::of_der(&session.peer_certificates().unwrap()[0]);
            let mut first = [0; 4];
            let answered = stream.write_all(&ask.bytes()).await.is_ok()
                && stream.read_exact(&mut first).await.is_ok()
                && first == *b"HTTP";
            Some(Self { kind, shown, answered })
        })
    }
}
