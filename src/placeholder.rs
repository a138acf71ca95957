//! SEAM: a stand-in for `routes::load` and `edge`, to be deleted by whoever brings the real ones.
//!
//! With the feature `sim` it plays a rough gateway, so that the demo can be tried.
#![allow(missing_docs, dead_code, clippy::allow_attributes, clippy::unwrap_used)]
#![allow(clippy::indexing_slicing, clippy::expect_used, unreachable_pub, clippy::too_many_lines)]

pub mod routes {
    use std::path::{Path, PathBuf};

    pub struct SystemSources;
    pub enum Colour {
        Always,
        Never,
    }
    pub struct Report(String);
    impl Report {
        pub fn render(&self, _: Colour) -> String {
            format!("{}\n", self.0)
        }
        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }
    pub struct Quarantined {
        pub report: Report,
    }
    pub struct RouteTable {
        pub folder: PathBuf,
        pub toml: toml::Table,
    }
    impl RouteTable {
        pub fn describe(&self) -> String {
            format!("{} tables\n", self.toml.len())
        }
    }
    pub struct Loaded {
        pub table: RouteTable,
        pub quarantined: Vec<Quarantined>,
        pub warnings: Report,
    }
    pub fn load(path: &Path, _: &SystemSources) -> Result<Loaded, Report> {
        let text = std::fs::read_to_string(path).map_err(|error| Report(error.to_string()))?;
        let toml = text.parse().map_err(|error: toml::de::Error| Report(error.to_string()))?;
        let folder = path.parent().unwrap_or(path).to_owned();
        let (quarantined, warnings) = (Vec::new(), Report(String::new()));
        Ok(Loaded { table: RouteTable { folder, toml }, quarantined, warnings })
    }
}

#[cfg(not(feature = "sim"))]
pub mod edge {
    pub struct Running;
    pub mod chassis {
        pub fn run(_: &std::path::Path) -> Result<std::process::ExitCode, String> {
            Err("there is no gateway yet".into())
        }
    }
}

#[cfg(feature = "sim")]
pub mod edge {
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use http::{Request, StatusCode};

    use super::routes::RouteTable;
    use crate::ids::Fingerprint;
    use crate::sim::client::{CallError, Client, ClientTls};
    use crate::sim::server::{Answer, Listening, Party, Received, Reply, Server, ServerTls};

    pub mod chassis {
        pub fn run(_: &std::path::Path) -> Result<std::process::ExitCode, String> {
            Err("there is no gateway yet".into())
        }
    }

    pub struct Running {
        pub addresses: Vec<SocketAddr>,
        pub admin: SocketAddr,
        server: Server,
    }

    impl Running {
        pub fn stop(self) {
            drop(self.server);
        }
    }

    pub fn start(table: RouteTable) -> Result<Running, String> {
        let file = |name: &str| table.folder.join(name);
        let tls =
            ServerTls::from_files(&file("edge.pem"), &file("edge.key"), &file("clients-ca.pem"))
                .map_err(|error| error.to_string())?;
        let address = table.toml["gateway"]["listen"].as_str().unwrap().parse().unwrap();
        let admin = table.toml["gateway"]["admin"].as_str().unwrap().parse().unwrap();
        let listening = Listening { address, ..Listening::tls(tls) };
        let party = Arc::new(Fake { table, counts: Mutex::default() });
        let server = Server::start(listening, party).map_err(|error| error.to_string())?;
        Ok(Running { addresses: vec![server.address()], admin, server })
    }

    struct Fake {
        table: RouteTable,
        counts: Mutex<HashMap<String, u64>>,
    }

    impl Party for Fake {
        fn answer(&self, request: &Received) -> Reply {
            let id = request.header("X-Correlation-ID").map(ToOwned::to_owned);
            let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            let answer = self.check(request).unwrap_or_else(|(status, error)| {
                Answer::new(StatusCode::from_u16(status).unwrap())
                    .with("X-CorAPI-Source", "PLATFORM")
                    .with("WWW-Authenticate", "tls_client_auth realm=\"corgate\"")
                    .with("Retry-After", "1")
                    .body(format!("{{\"error\":\"{error}\"}}"))
            });
            answer.set("X-Correlation-ID", id).into()
        }

        fn reset(&self) {}
    }

    impl Fake {
        fn check(&self, request: &Received) -> Result<Answer, (u16, &'static str)> {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            request.header("X-Correlation-ID").ok_or((400, "invalid_request"))?;
            let rows = |name: &str| self.table.toml[name].as_array().unwrap().iter();
            let mine = |row: &&toml::Value| {
                let text = row["certificates"][0].as_str().unwrap();
                Fingerprint::parse(text).ok() == request.certificate
            };
            let client = rows("client").find(mine).ok_or((401, "invalid_client"))?;
            if client["id"].as_str() != request.header("X-CorAPI-Client-ID") {
                return Err((401, "invalid_client"));
            }
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry(client["id"].to_string()).or_default();
            *count += 1;
            if client["limit"]["rate"].as_str() == Some("2/h") && *count > 2 {
                return Err((429, "temporarily_unavailable"));
            }
            let named = request.header("X-CorAPI-Target-ID");
            let target = rows("target").find(|row| row["id"].as_str() == named);
            let target = target.ok_or((400, "invalid_request"))?;
            let only = client["targets"][0].as_str();
            if only != Some("*") && only != named {
                return Err((403, "unauthorized_client"));
            }
            if body.matches("code=").count() > 1 {
                return Err((400, "invalid_request"));
            }
            self.forward(request, target)
        }

        fn forward(
            &self,
            request: &Received,
            target: &toml::Value,
        ) -> Result<Answer, (u16, &'static str)> {
            let call = request.path.rsplit('/').next().unwrap();
            let paths = target.get("paths").and_then(|paths| paths.get(call));
            let path = paths.and_then(|path| path.as_str().map(ToOwned::to_owned));
            let path = path.unwrap_or_else(|| format!("/oauth/{call}"));
            let mut outward = Request::post(path);
            for (name, value) in &request.headers {
                if !name.eq_ignore_ascii_case("host") {
                    outward = outward.header(name, value);
                }
            }
            let outward = outward.body(request.body.clone()).unwrap();
            let file = |name: &str| self.table.folder.join(name);
            let tls = ClientTls::from_files(
                &file("banks-ca.pem"),
                Some((&file("hub.pem"), &file("hub.key"))),
            );
            let address = &target["upstream"].as_str().unwrap()["https://".len()..];
            let client = Client::tls(address.parse().unwrap(), tls.unwrap());
            let mut client = client.timeout(Duration::from_secs(1));
            let work = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(client.call(outward))
            };
            match std::thread::spawn(work).join().unwrap() {
                Ok(answer) => {
                    let mut out = Answer::new(answer.status()).with("X-CorAPI-Source", "PROVIDER");
                    if let Some(challenge) = answer.headers().get("www-authenticate") {
                        out = out.with("WWW-Authenticate", challenge.to_str().unwrap());
                    }
                    Ok(out.body(answer.into_body()))
                }
                Err(CallError::Timeout) => Err((504, "server_error")),
                Err(_) => Err((502, "server_error")),
            }
        }
    }
}
