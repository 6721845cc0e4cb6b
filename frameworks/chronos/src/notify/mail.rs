//! Mail by SMTP, one for each owner.

use std::error::Error as _;

use async_trait::async_trait;
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::channel::{Channel, DeliveryError};
use super::{MailConfig, MailTls, Notification, NotifyConfig, NotifyConfigError};

const PORT: u16 = 25;
const PORT_WITH_TLS: u16 = 465;
/// A subject is one line, and not a long one.
const MAX_SUBJECT_CHARS: usize = 500;
const MAX_BODY_CHARS: usize = 100_000;

/// A mail server.
pub(super) struct Mail {
    from: Mailbox,
    server: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mail {
    pub(super) fn new(mail: &MailConfig, config: &NotifyConfig) -> Result<Self, NotifyConfigError> {
        let from = mail.from.parse().map_err(|_| NotifyConfigError::MailFrom {
            from: mail.from.clone(),
        })?;
        let parameters = tls_parameters(mail)?;
        let (tls, port) = match mail.tls {
            MailTls::Always => (Tls::Wrapper(parameters), PORT_WITH_TLS),
            MailTls::IfOffered => (Tls::Opportunistic(parameters), PORT),
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
            .port(mail.port.unwrap_or(port))
            .tls(tls)
            .timeout(Some(config.timeout));
        if let Some((user, password)) = &mail.credentials {
            let password = password.reveal().to_owned();
            server = server.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            from,
            server: server.build(),
        })
    }

    fn message(&self, notification: &Notification) -> Result<Message, String> {
        let owner = notification.owners.first().ok_or("it is for nobody")?;
        let to: Mailbox = owner
            .parse()
            .map_err(|_| format!("'{owner}' is no mail address"))?;
        let subject: String = notification
            .subject
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_SUBJECT_CHARS)
            .collect();
        let body: String = notification.message.chars().take(MAX_BODY_CHARS).collect();
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .singlepart(SinglePart::plain(body))
            .map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Channel for Mail {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn split(&self, notification: &Notification) -> Vec<Notification> {
        let one_for = |owner: &String| Notification {
            owners: vec![owner.clone()],
            ..notification.clone()
        };
        notification.owners.iter().map(one_for).collect()
    }

    async fn deliver(&self, notification: &Notification) -> Result<(), DeliveryError> {
        let message = self.message(notification).map_err(DeliveryError::Refused)?;
        match self.server.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(DeliveryError::Refused(reason(&error))),
            Err(error) => Err(DeliveryError::Later(reason(&error))),
        }
    }
}

fn tls_parameters(mail: &MailConfig) -> Result<TlsParameters, NotifyConfigError> {
    let mut parameters = TlsParameters::builder(mail.host.clone());
    let path = mail.ca_file.as_deref();
    let wrong = |reason: String| NotifyConfigError::Certificates {
        path: path.map_or_else(
            || "the system".to_owned(),
            |path| path.display().to_string(),
        ),
        reason,
    };
    if let Some(path) = path {
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters
        .build_rustls()
        .map_err(|error| wrong(error.to_string()))
}

/// An error with what is behind it, which is what tells.
fn reason(error: &smtp::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = error.source();
    }
    reason
}
