//! What a cluster asks of whoever speaks to it: credentials, rules, TLS. By
//! default it asks nothing (`docs/authentication.md`, `docs/authorization.md`).

use std::path::PathBuf;

mod acls;
mod guard;
mod identity;
mod secrets;
mod token;

pub use acls::{Acls, AclsError};
pub use identity::{Identity, IdentityError};
pub use secrets::{Secrets, SecretsError};
pub use token::TokenKey;

pub(crate) use acls::Action;
pub(crate) use guard::{Guard, Realm};
pub(crate) use token::Claims;

/// What a cluster asks. The default asks nothing.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Security {
    /// Schedulers must say who they are.
    pub authenticate_frameworks: bool,
    /// Endpoints that show something ask who looks, of master and agents.
    pub authenticate_readonly: bool,
    /// Endpoints that can change something ask who does, of master and agents.
    pub authenticate_readwrite: bool,
    /// Agents of other processes must say who they are.
    pub authenticate_agents: bool,
    /// Executors must show the token that they were started with.
    pub authenticate_executors: bool,
    /// The principals there are.
    pub secrets: Secrets,
    /// As whom agents join a master that authenticates agents; one of its
    /// secrets, of which the first counts.
    pub agent_credential: Secrets,
    /// Who may do and see what.
    pub acls: Acls,
    /// With it master and agents speak TLS, and nothing else.
    pub identity: Option<Identity>,
    /// PEM certificates by which agents trust masters of other processes,
    /// besides those of the system.
    pub ca_file: Option<PathBuf>,
}
