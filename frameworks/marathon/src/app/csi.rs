//! Volumes that CSI plugins keep: what the options of an external volume mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::External;

/// The options of a volume of the provider `csi`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsiOptions {
    /// The plugin that knows the volume.
    pub plugin_name: String,
    /// How it is used.
    pub capability: CsiCapability,
    /// The names of secrets for staging it on an agent.
    #[serde(default)]
    pub node_stage_secret: BTreeMap<String, String>,
    /// The names of secrets for publishing it there.
    #[serde(default)]
    pub node_publish_secret: BTreeMap<String, String>,
    /// What the plugin wants to know besides.
    #[serde(default)]
    pub volume_context: BTreeMap<String, String>,
}

/// How a volume is used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsiCapability {
    /// By how many agents at once, and for what.
    pub access_mode: CsiAccessMode,
    /// As what it appears.
    pub access_type: CsiAccessType,
    /// The file system, of those that are mounted.
    #[serde(default)]
    pub fs_type: Option<String>,
    /// Options of the mount.
    #[serde(default)]
    pub mount_flags: Vec<String>,
}

/// By how many agents at once a volume is used, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "they are the names of the interface")]
pub enum CsiAccessMode {
    SingleNodeWriter,
    SingleNodeReaderOnly,
    MultiNodeReaderOnly,
    MultiNodeSingleWriter,
    MultiNodeMultiWriter,
}

/// As what a volume appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CsiAccessType {
    /// As a device.
    Block,
    /// As a file system.
    Mount,
}

impl CsiAccessMode {
    /// Whether several agents may use it at once.
    #[must_use]
    pub fn is_shareable(self) -> bool {
        !matches!(self, Self::SingleNodeWriter | Self::SingleNodeReaderOnly)
    }

    /// Whether it may only be read.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        matches!(self, Self::SingleNodeReaderOnly | Self::MultiNodeReaderOnly)
    }
}

impl External {
    /// What the options mean, of a volume of `csi`.
    ///
    /// # Errors
    ///
    /// When they mean nothing: what is wrong with them.
    pub fn csi(&self) -> Option<Result<CsiOptions, String>> {
        if self.provider.as_deref() != Some("csi") {
            return None;
        }
        let options = Value::Object(self.options.clone());
        let read = serde_path_to_error::deserialize(options);
        Some(read.map_err(|error| {
            let path = error.path().to_string().replace('.', "/");
            format!("{path}: {}", error.inner())
        }))
    }
}
