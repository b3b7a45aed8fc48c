//! Asks a running `loopd serve` over HTTP.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use loopd_dashboard::views::dumps::DumpTaken;
use loopd_dashboard::views::notes::Note;
use loopd_dashboard::views::settings::{CommonSettingsView, SettingsView, change_body};
use loopd_dashboard::{ErrorBody, Mute, NewNote, NotePatch};
use loopd_store::{SettingsChange, SettingsScope};
use serde::de::DeserializeOwned;

use crate::exit::{Exit, OrExit};

/// The longest that one answer may take; a query may ask for a minute.
const TIMEOUT: Duration = Duration::from_secs(75);
/// How long to try to connect. A server on this machine answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer beyond this is not one of ours.
const MAX_ANSWER: u64 = 256 << 20;

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
    /// Shorter than [`TIMEOUT`].
    timeout: Option<Duration>,
}

impl Client {
    /// Takes `http://HOST:PORT`; the scheme may be left out.
    pub(crate) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/');
        let base = match url.split_once("://") {
            Some(("http", _)) => url.to_owned(),
            None => format!("http://{url}"),
            Some(_) => {
                return Err(anyhow!(
                    "--url {url}: only http:// is spoken here; for a server elsewhere, forward \
                     its port: ssh -L 7411:127.0.0.1:7411 HOST"
                ))
                .or_exit(Exit::Usage);
            }
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The server is here or behind a tunnel; a proxy would only see what is not its.
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("loopd/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), base, token, timeout: None })
    }

    /// The same server, but for one who waits no longer than this for an answer.
    pub(crate) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Where it asks.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// One `GET`.
    pub(crate) async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> anyhow::Result<T> {
        let (client, path, query) = (self.clone(), path.to_owned(), query.to_vec());
        in_the_background(move || {
            let request = client.agent.get(client.address(&path)).query_pairs(query);
            client.answer(client.with_token(request).call())
        })
        .await
    }

    /// One `POST` of JSON.
    pub(crate) async fn post<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<T> {
        let (client, path) = (self.clone(), path.to_owned());
        in_the_background(move || {
            let request = client.agent.post(client.address(&path));
            let request = request.header("content-type", "application/json");
            client.answer(client.with_token(request).send(&body[..]))
        })
        .await
    }

    /// One `PATCH` of JSON.
    pub(crate) async fn patch<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> anyhow::Result<T> {
        let (client, path, query) = (self.clone(), path.to_owned(), query.to_vec());
        in_the_background(move || {
            let request = client.agent.patch(client.address(&path)).query_pairs(query);
            let request = request.header("content-type", "application/json");
            client.answer(client.with_token(request).send(&body[..]))
        })
        .await
    }

    /// Changes settings. Gives what is asked of all and of programs by name.
    pub(crate) async fn change_settings(
        &self,
        scope: &SettingsScope,
        change: &SettingsChange,
    ) -> anyhow::Result<CommonSettingsView> {
        let body = change_body(change).to_string().into_bytes();
        match scope {
            SettingsScope::All => self.patch("/settings", &[], body).await,
            SettingsScope::App(app) => self.patch("/settings", &[("app", app.clone())], body).await,
            SettingsScope::Process(process) => {
                let path = format!("/processes/{}/settings", process.0);
                let _: SettingsView = self.patch(&path, &[], body).await?;
                self.get("/settings", &[]).await
            }
        }
    }

    /// Mutes a finding in all runs of a program, or lets it be heard again.
    pub(crate) async fn mute_finding(&self, process: i64, mute: &Mute) -> anyhow::Result<Mute> {
        let path = format!("/processes/{process}/findings/mute");
        self.post(&path, serde_json::to_vec(mute)?).await
    }

    /// Writes a note.
    pub(crate) async fn add_note(&self, note: &NewNote) -> anyhow::Result<Note> {
        self.post("/notes", serde_json::to_vec(note)?).await
    }

    /// Changes a note.
    pub(crate) async fn edit_note(&self, note: i64, patch: &NotePatch) -> anyhow::Result<Note> {
        self.patch(&format!("/notes/{note}"), &[], serde_json::to_vec(patch)?).await
    }

    /// Removes a note, and gives what it was.
    pub(crate) async fn remove_note(&self, note: i64) -> anyhow::Result<Note> {
        let (client, path) = (self.clone(), format!("/notes/{note}"));
        in_the_background(move || {
            let request = client.agent.delete(client.address(&path));
            client.answer(client.with_token(request).call())
        })
        .await
    }

    /// Has a program say where its tasks wait. Gives the number of the dump.
    pub(crate) async fn dump_tasks(&self, process: i64) -> anyhow::Result<u64> {
        let path = format!("/processes/{process}/dump");
        let taken: DumpTaken = self.post(&path, b"{}".to_vec()).await?;
        Ok(taken.dump.0)
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    fn with_token<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        let request = match self.timeout {
            Some(timeout) => request.config().timeout_global(Some(timeout)).build(),
            None => request,
        };
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn answer<T: DeserializeOwned>(
        &self,
        response: Result<http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<T> {
        let mut response = response
            .with_context(|| {
                format!("no answer from {}, is `loopd serve` running there?", self.base)
            })
            .or_exit(Exit::Connect)?;
        let status = response.status();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .with_context(|| format!("the answer of {} broke off", self.base))
            .or_exit(Exit::Connect)?;
        if !status.is_success() {
            return self.refused(status.as_u16(), &bytes);
        }
        serde_json::from_slice(&bytes)
            .with_context(|| {
                format!(
                    "{} did not answer as loopd {} does; is another program or another version \
                     behind that address?",
                    self.base,
                    env!("CARGO_PKG_VERSION")
                )
            })
            .or_exit(Exit::Connect)
    }

    fn refused<T>(&self, status: u16, bytes: &[u8]) -> anyhow::Result<T> {
        let sentence = match serde_json::from_slice::<ErrorBody>(bytes) {
            Ok(body) => body.error,
            Err(_) => format!("{} answered with status {status}", self.base),
        };
        let error = Err(anyhow!(sentence));
        match status {
            401 => error
                .context("the server wants a token: set --token or LOOPD_TOKEN")
                .or_exit(Exit::Connect),
            403 | 504 => error.or_exit(Exit::Connect),
            500.. => error.or_exit(Exit::Storage),
            _ => error,
        }
    }
}

/// Runs what blocks on a thread made for that.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => bail!("asking the server panicked; please report this"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_the_scheme() {
        let client = Client::new("localhost:7411/", None).unwrap();
        assert_eq!(client.address("/status"), "http://localhost:7411/api/v1/status");
    }

    #[test]
    fn https_is_refused_with_the_way_out() {
        let error = Client::new("https://example.com", None).unwrap_err().to_string();
        assert!(error.contains("ssh -L"), "{error}");
    }
}
