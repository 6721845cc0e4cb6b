//! What a check found that only tells.

use mesos_sdk::v1::CheckStatusInfo;
use serde::{Deserialize, Serialize};

/// What a check that only tells found last, as tasks show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// Of a check over HTTP.
    #[serde(rename_all = "camelCase")]
    Http {
        /// The status of the answer.
        status_code: u32,
    },
    /// Of a check that connects.
    Tcp {
        /// Whether it could.
        succeeded: bool,
    },
    /// Of a command.
    #[serde(rename_all = "camelCase")]
    Command {
        /// How it ended.
        exit_code: i32,
    },
}

impl CheckResult {
    /// What an executor says; nothing before the first result.
    #[must_use]
    pub fn of(status: &CheckStatusInfo) -> Option<Self> {
        let http = status.http.and_then(|it| it.status_code);
        let tcp = status.tcp.and_then(|it| it.succeeded);
        let command = status.command.and_then(|it| it.exit_code);
        let http = http.map(|status_code| Self::Http { status_code });
        http.or(tcp.map(|succeeded| Self::Tcp { succeeded }))
            .or(command.map(|exit_code| Self::Command { exit_code }))
    }
}

#[cfg(test)]
mod tests {
    use mesos_sdk::v1::check_status_info::{Command, Http, Tcp};
    use serde_json::json;

    use super::*;

    #[test]
    fn results_are_shown_by_their_kind() {
        let of_http = CheckStatusInfo {
            http: Some(Http {
                status_code: Some(200),
            }),
            ..CheckStatusInfo::default()
        };
        let of_tcp = CheckStatusInfo {
            tcp: Some(Tcp {
                succeeded: Some(false),
            }),
            ..CheckStatusInfo::default()
        };
        let of_command = CheckStatusInfo {
            command: Some(Command { exit_code: Some(3) }),
            ..CheckStatusInfo::default()
        };
        for (status, expected) in [
            (of_http, json!({"http": {"statusCode": 200}})),
            (of_tcp, json!({"tcp": {"succeeded": false}})),
            (of_command, json!({"command": {"exitCode": 3}})),
        ] {
            assert_eq!(json!(CheckResult::of(&status)), expected);
        }
        let pending = CheckStatusInfo {
            http: Some(Http::default()),
            ..CheckStatusInfo::default()
        };
        assert_eq!(CheckResult::of(&pending), None);
    }
}
