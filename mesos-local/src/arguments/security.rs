//! Options that say what the cluster asks of whoever speaks to it.

use std::path::PathBuf;

use clap::Args;
use clap::error::ErrorKind;
use mesos_local::security::{Acls, Identity, Secrets, Security};

/// What is asked of whoever speaks to the cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub(super) struct SecurityArguments {
    /// Schedulers must authenticate.
    #[arg(
        long,
        env = "MESOS_LOCAL_AUTHENTICATE_FRAMEWORKS",
        requires = "credentials"
    )]
    authenticate_frameworks: bool,

    /// Endpoints that show something ask for authentication.
    #[arg(
        long,
        env = "MESOS_LOCAL_AUTHENTICATE_HTTP_READONLY",
        requires = "credentials"
    )]
    authenticate_http_readonly: bool,

    /// Endpoints that can change something, the operator API among them, ask for
    /// authentication.
    #[arg(
        long,
        env = "MESOS_LOCAL_AUTHENTICATE_HTTP_READWRITE",
        requires = "credentials"
    )]
    authenticate_http_readwrite: bool,

    /// With --zk: agents of other processes must authenticate.
    #[arg(long, env = "MESOS_LOCAL_AUTHENTICATE_AGENTS", requires_all = ["credentials", "zookeeper"])]
    authenticate_agents: bool,

    /// Executors must show the token that they were started with.
    #[arg(long, env = "MESOS_LOCAL_AUTHENTICATE_EXECUTORS")]
    authenticate_executors: bool,

    /// The principals there are and their secrets: JSON as Mesos has it, or
    /// lines of both.
    #[arg(long, env = "MESOS_LOCAL_CREDENTIALS", value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// With --zk: the principal and secret of the agents of this process.
    #[arg(
        long,
        env = "MESOS_LOCAL_CREDENTIAL",
        value_name = "FILE",
        requires = "zookeeper"
    )]
    credential: Option<PathBuf>,

    /// Who may do and see what: JSON as Mesos has it, or a file with it.
    #[arg(long, env = "MESOS_LOCAL_ACLS", value_name = "JSON|FILE")]
    acls: Option<String>,

    /// Speak TLS with this certificate, PEM, with those after it that lead to
    /// one that clients trust.
    #[arg(
        long,
        env = "MESOS_LOCAL_TLS_CERTIFICATE",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_certificate: Option<PathBuf>,

    /// The certificate's key, PEM.
    #[arg(
        long,
        env = "MESOS_LOCAL_TLS_KEY",
        value_name = "FILE",
        requires = "tls_certificate"
    )]
    tls_key: Option<PathBuf>,

    /// With --zk: certificates, PEM, by which agents of this process trust
    /// masters, besides those of the system.
    #[arg(
        long,
        env = "MESOS_LOCAL_TLS_CA_FILE",
        value_name = "FILE",
        requires = "zookeeper"
    )]
    tls_ca_file: Option<PathBuf>,
}

impl SecurityArguments {
    pub(super) fn into_security(self) -> Result<Security, clap::Error> {
        let mut security = Security::default();
        security.authenticate_frameworks = self.authenticate_frameworks;
        security.authenticate_readonly = self.authenticate_http_readonly;
        security.authenticate_readwrite = self.authenticate_http_readwrite;
        security.authenticate_agents = self.authenticate_agents;
        security.authenticate_executors = self.authenticate_executors;
        if let Some(path) = self.credentials {
            security.secrets = Secrets::read(&path).map_err(|error| refuse(&error))?;
        }
        if let Some(path) = self.credential {
            security.agent_credential = Secrets::read(&path).map_err(|error| refuse(&error))?;
        }
        if let Some(acls) = self.acls {
            let text = if acls.trim_start().starts_with('{') {
                acls
            } else {
                let path = acls.strip_prefix("file://").unwrap_or(&acls);
                std::fs::read_to_string(path).map_err(|error| refuse(&error))?
            };
            security.acls = Acls::parse(&text).map_err(|error| refuse(&error))?;
        }
        if let (Some(certificate), Some(key)) = (self.tls_certificate, self.tls_key) {
            let identity = Identity::read(&certificate, &key).map_err(|error| refuse(&error))?;
            security.identity = Some(identity);
        }
        security.ca_file = self.tls_ca_file;
        Ok(security)
    }
}

fn refuse(error: &dyn std::error::Error) -> clap::Error {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text.push_str(": ");
        text.push_str(&source.to_string());
    }
    text.push('\n');
    clap::Error::raw(ErrorKind::ValueValidation, text)
}
