//! What a command line amounts to.

use std::path::PathBuf;
use std::time::Duration;

use mesos_sdk::address::MasterAddress;
use mesos_sdk::credentials::Credentials;
use mesos_service::metrics::{MetricsConfig, MetricsRegistry};
use mesos_service::run::{Place, Stop};
use mesos_service::zookeeper::ZooKeeperConfig;

use crate::io::Config;
use crate::notify::{Endpoint, MailConfig, MailTls, Notifier, NotifyConfig};
use crate::state::Settings;

use super::Args;

/// A command line that says something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

fn wrong(flag: &'static str) -> impl Fn(&dyn std::fmt::Display) -> Invalid {
    move |reason| Invalid(format!("--{flag}: {reason}"))
}

impl Args {
    /// How Chronos is to be started. `user` is who runs this.
    ///
    /// # Errors
    ///
    /// When something that was said cannot be, or a port is in use.
    pub async fn config(&self, user: &str, seed: u64, stop: Stop) -> Result<Config, Invalid> {
        for (flag, amount) in [
            ("mesos_task_cpu", self.mesos_task_cpu),
            ("mesos_task_mem", self.mesos_task_mem),
            ("mesos_task_disk", self.mesos_task_disk),
        ] {
            if !(amount.is_finite() && amount > 0.0) {
                return Err(wrong(flag)(&format!("{amount} is no amount of it")));
            }
        }
        let notify = self.notify()?;
        let notifier = Notifier::start(&notify).map_err(|error| Invalid(error.to_string()))?;
        let mut http = self.http.clone();
        // Pages of anywhere could always ask.
        http.access_control_allow_origin
            .get_or_insert("*".to_owned());
        let listeners = http
            .listen()
            .await
            .map_err(|error| Invalid(error.to_string()))?;
        let proxy = http
            .leader_proxy("chronos", &listeners)
            .map_err(|error| Invalid(error.to_string()))?;
        let webui_url = match &self.webui_url {
            Some(url) => url.clone(),
            None => {
                let scheme = if self.http.disable_http {
                    "https"
                } else {
                    "http"
                };
                format!("{scheme}://{}", proxy.name)
            }
        };
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX / 2);
        Ok(Config {
            master: self.master.clone(),
            credentials: self.credentials()?,
            settings: Settings {
                task_cpus: self.mesos_task_cpu,
                task_mem: self.mesos_task_mem,
                task_disk: self.mesos_task_disk,
                user: self.user.clone().unwrap_or_else(|| user.to_owned()),
                role: self.mesos_role.clone(),
                failure_retry_ms: millis(self.failure_retry),
                disable_after_failures: self.disable_after_failures,
                history_limit: self.job_history_limit,
                unreachable_timeout_ms: millis(self.unreachable_timeout.saturating_mul(1000)),
                decline_seconds: self.decline_offer_duration as f64 / 1000.0,
                revive_interval_ms: millis(self.revive_offers_interval).max(1000),
                seed,
                ..Settings::default()
            },
            place: self.place(user)?,
            framework_name: self.mesos_framework_name.clone(),
            checkpoint: self.mesos_checkpoint,
            failover_timeout: Duration::from_secs(self.failover_timeout),
            webui_url: Some(webui_url),
            listeners,
            proxy,
            notifier,
            cluster_name: self.cluster_name.clone(),
            metrics: MetricsRegistry::new(MetricsConfig::new("chronos")),
            log_levels: None,
            stop,
        })
    }

    fn credentials(&self) -> Result<Option<Credentials>, Invalid> {
        let principal = self.mesos_authentication_principal.as_ref();
        let file = self.mesos_authentication_secret_file.as_ref();
        match (principal, file) {
            (Some(principal), Some(file)) => Credentials::basic_from_file(principal, file)
                .map(Some)
                .map_err(|error| wrong("mesos_authentication_secret_file")(&error)),
            (Some(_), None) => Err(wrong("mesos_authentication_principal")(
                &"it needs --mesos_authentication_secret_file, too",
            )),
            (None, _) => Ok(None),
        }
    }

    fn place(&self, user: &str) -> Result<Place, Invalid> {
        if let Some(hosts) = &self.zk_hosts {
            return self.zookeeper(hosts.reveal()).map(Place::ZooKeeper);
        }
        if let Some(directory) = &self.data_dir {
            return Ok(Place::Directory(directory.clone()));
        }
        if self.master == MasterAddress::Local {
            return Ok(Place::Memory);
        }
        if user == "root" {
            return Ok(Place::Directory("/var/lib/chronos".into()));
        }
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let home = home.ok_or_else(|| wrong("data_dir")(&"say where the state is to be kept"))?;
        let directory = PathBuf::from(home).join(".local/state/chronos");
        Ok(Place::Directory(directory))
    }

    fn zookeeper(&self, hosts: &str) -> Result<ZooKeeperConfig, Invalid> {
        let rest = hosts.strip_prefix("zk://").unwrap_or(hosts);
        let mut text = match rest.contains('/') {
            true => format!("zk://{rest}"),
            false => format!("zk://{rest}/{}", self.zk_path.trim_start_matches('/')),
        };
        if let Some(credentials) = &self.zk_auth
            && !rest.contains('@')
        {
            text = text.replacen("zk://", &format!("zk://{}@", credentials.reveal()), 1);
        }
        let config = ZooKeeperConfig::parse(&text);
        let mut config = config.map_err(|error| wrong("zk_hosts")(&error))?;
        let timeout = Duration::from_millis(self.zk_timeout.max(1000));
        config.session_timeout = timeout;
        config.connect_timeout = timeout;
        Ok(config)
    }

    fn notify(&self) -> Result<NotifyConfig, Invalid> {
        let endpoint = |flag, url: Option<&mesos_service::flags::Secret>| {
            let parsed = url.map(|url| Endpoint::parse(url.reveal())).transpose();
            parsed.map_err(|error| wrong(flag)(&error))
        };
        let mut config = NotifyConfig {
            slack: endpoint("slack_url", self.slack_url.as_ref())?,
            mattermost: endpoint("mattermost_url", self.mattermost_url.as_ref())?,
            ..NotifyConfig::default()
        };
        let url = self.http_notification_url.as_ref();
        if let Some(callback) = endpoint("http_notification_url", url)? {
            let credentials = self.http_notification_credentials.as_ref();
            let credentials = credentials.map(|text| {
                let (user, password) = text.reveal().split_once(':').ok_or_else(|| {
                    wrong("http_notification_credentials")(&"user:password is expected")
                })?;
                Credentials::basic(user, password)
                    .map_err(|error| wrong("http_notification_credentials")(&error))
            });
            config.callback = Some((callback, credentials.transpose()?));
        }
        if let Some(server) = &self.mail_server {
            let tls = match self.mail_ssl {
                true => MailTls::Always,
                false => MailTls::IfOffered,
            };
            let from = self.mail_from.as_deref().ok_or_else(|| {
                wrong("mail_server")(&"it needs --mail_from, too: whom mail is from")
            })?;
            let mail = MailConfig::at(server, from, tls);
            let mut mail = mail.map_err(|error| wrong("mail_server")(&error))?;
            mail.credentials = self.mail_user.clone().zip(
                self.mail_password
                    .as_ref()
                    .map(|password| crate::notify::Secret::new(password.reveal())),
            );
            config.mail = Some(mail);
        }
        Ok(config)
    }
}
