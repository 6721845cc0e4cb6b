//! What an app's container mounts: of the host, of other providers, secrets.
//! Volumes that Mesos keeps are mounted by what they are made of.

use std::collections::BTreeMap;

use mesos_sdk::v1;
use v1::volume::source::{CsiVolume, DockerVolume, Type};

use crate::app::{
    App, Container, ContainerKind, CsiAccessMode, CsiAccessType, CsiOptions, External, Volume,
    VolumeMode,
};

use super::secret;

/// What options of a driver begin with.
const DVDI: &str = "dvdi/";

/// The volumes of a container.
pub(super) fn volumes(app: &App, container: &Container) -> Vec<v1::Volume> {
    let volumes = container.volumes.iter();
    volumes
        .filter_map(|volume| one(app, container.kind, volume))
        .collect()
}

fn one(app: &App, kind: ContainerKind, volume: &Volume) -> Option<v1::Volume> {
    let mode = match volume.mode {
        Some(VolumeMode::Rw) => v1::volume::Mode::Rw,
        _ => v1::volume::Mode::Ro,
    };
    let mut info = v1::Volume {
        container_path: volume.container_path.clone(),
        mode: mode.into(),
        ..v1::Volume::default()
    };
    if let Some(path) = &volume.host_path {
        info.host_path = Some(path.clone());
    } else if let Some(name) = &volume.secret {
        info.source = Some(v1::volume::Source {
            r#type: Some(Type::Secret.into()),
            secret: Some(secret(app.secrets.get(name)?.source.clone())),
            ..v1::volume::Source::default()
        });
    } else {
        let external = volume.external.as_ref()?;
        let name = external.name.clone()?;
        if let Some(csi) = external.csi() {
            info.source = Some(v1::volume::Source {
                r#type: Some(Type::CsiVolume.into()),
                csi_volume: Some(csi_volume(name, csi.ok()?)),
                ..v1::volume::Source::default()
            });
            return Some(info);
        }
        let driver = driver(external)?;
        match kind {
            // Docker takes a name that is no path as that of a volume.
            ContainerKind::Docker => info.host_path = Some(name),
            ContainerKind::Mesos => {
                info.source = Some(v1::volume::Source {
                    r#type: Some(Type::DockerVolume.into()),
                    docker_volume: Some(DockerVolume {
                        driver: Some(driver.to_owned()),
                        name,
                        driver_options: Some(options(external)),
                    }),
                    ..v1::volume::Source::default()
                });
            }
        }
    }
    Some(info)
}

/// A volume that a plugin keeps, and that is there.
fn csi_volume(name: String, options: CsiOptions) -> CsiVolume {
    use v1::volume::source::csi_volume::volume_capability::access_mode::Mode;
    use v1::volume::source::csi_volume::volume_capability::{
        AccessMode, AccessType, BlockVolume, MountVolume,
    };
    use v1::volume::source::csi_volume::{StaticProvisioning, VolumeCapability};
    let capability = options.capability;
    let mode = match capability.access_mode {
        CsiAccessMode::SingleNodeWriter => Mode::SingleNodeWriter,
        CsiAccessMode::SingleNodeReaderOnly => Mode::SingleNodeReaderOnly,
        CsiAccessMode::MultiNodeReaderOnly => Mode::MultiNodeReaderOnly,
        CsiAccessMode::MultiNodeSingleWriter => Mode::MultiNodeSingleWriter,
        CsiAccessMode::MultiNodeMultiWriter => Mode::MultiNodeMultiWriter,
    };
    let access_type = match capability.access_type {
        CsiAccessType::Block => AccessType::Block(BlockVolume {}),
        CsiAccessType::Mount => AccessType::Mount(MountVolume {
            fs_type: capability.fs_type,
            mount_flags: capability.mount_flags,
        }),
    };
    let secrets = |names: BTreeMap<String, String>| {
        let named = names.into_iter();
        named.map(|(key, name)| (key, secret(name))).collect()
    };
    CsiVolume {
        plugin_name: options.plugin_name,
        static_provisioning: Some(StaticProvisioning {
            volume_id: name,
            volume_capability: VolumeCapability {
                access_mode: AccessMode { mode: mode.into() },
                access_type: Some(access_type),
            },
            node_stage_secrets: secrets(options.node_stage_secret),
            node_publish_secrets: secrets(options.node_publish_secret),
            volume_context: options.volume_context.into_iter().collect(),
        }),
    }
}

/// The driver of a volume that a Docker driver keeps.
fn driver(external: &External) -> Option<&str> {
    let is_dvdi = external.provider.as_deref() == Some("dvdi");
    let driver = external.options.get("dvdi/driver")?.as_str();
    driver.filter(|_| is_dvdi)
}

fn options(external: &External) -> v1::Parameters {
    let others = external.options.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(DVDI).filter(|key| *key != "driver")?;
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        Some(v1::Parameter {
            key: key.to_owned(),
            value,
        })
    });
    let size = external.size.map(|size| v1::Parameter {
        key: "size".to_owned(),
        value: size.to_string(),
    });
    v1::Parameters {
        parameter: others.chain(size).collect(),
    }
}

/// What `docker run` is told of the drivers of a container's volumes.
pub(super) fn docker_parameters(container: &Container) -> Vec<v1::Parameter> {
    let external = container
        .volumes
        .iter()
        .filter_map(|it| it.external.as_ref());
    let drivers: std::collections::BTreeSet<&str> = external.filter_map(driver).collect();
    let parameters = drivers.into_iter().map(|driver| v1::Parameter {
        key: "volume-driver".to_owned(),
        value: driver.to_owned(),
    });
    parameters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(container: serde_json::Value) -> App {
        let mut app = App::new("/a".parse().unwrap(), "*", Default::default());
        app.container = Some(serde_json::from_value(container).unwrap());
        let secret = crate::app::Secret {
            source: "store/key".to_owned(),
        };
        app.secrets.insert("key".to_owned(), secret);
        app
    }

    #[test]
    fn each_kind_of_volume_is_mounted_as_what_it_is() {
        let external = serde_json::json!({
            "name": "disk", "provider": "dvdi", "size": 5,
            "options": {"dvdi/driver": "rexray", "dvdi/iops": "100"},
        });
        let container = |kind: &str| {
            serde_json::json!({"type": kind, "docker": {"image": "i"}, "volumes": [
                {"containerPath": "/host", "hostPath": "/srv", "mode": "RW"},
                {"containerPath": "key", "secret": "key"},
                {"containerPath": "/data", "mode": "RW", "external": external},
                {"containerPath": "kept", "mode": "RW", "persistent": {"size": 1}},
            ]})
        };
        let of_mesos = app(container("MESOS"));
        let all = volumes(&of_mesos, of_mesos.container.as_ref().unwrap());
        assert_eq!(all.len(), 3, "what Mesos keeps is no mount of ours");
        assert_eq!(all[0].host_path.as_deref(), Some("/srv"));
        let secret = all[1].source.as_ref().unwrap().secret.as_ref().unwrap();
        assert_eq!(secret.reference.as_ref().unwrap().name, "store/key");
        let volume = all[2].source.as_ref().unwrap().docker_volume.as_ref();
        let volume = volume.unwrap();
        assert_eq!((volume.driver(), volume.name.as_str()), ("rexray", "disk"));
        let options = &volume.driver_options.as_ref().unwrap().parameter;
        let options: Vec<_> = options.iter().map(|it| (&*it.key, &*it.value)).collect();
        assert_eq!(options, [("iops", "100"), ("size", "5")]);
        let of_docker = app(container("DOCKER"));
        let docker = of_docker.container.as_ref().unwrap();
        let all = volumes(&of_docker, docker);
        assert_eq!(all[2].host_path.as_deref(), Some("disk"));
        assert_eq!(docker_parameters(docker)[0].value, "rexray");
    }

    #[test]
    fn a_volume_of_a_plugin_is_mounted_as_it_is_said() {
        use v1::volume::source::csi_volume::volume_capability::{AccessType, access_mode::Mode};
        let app = app(serde_json::json!({"type": "MESOS", "volumes": [{
            "containerPath": "/data", "mode": "RO", "external": {
                "name": "disk", "provider": "csi", "options": {
                    "pluginName": "nfs", "volumeContext": {"server": "s"},
                    "nodeStageSecret": {"password": "store/password"},
                    "capability": {
                        "accessMode": "MULTI_NODE_READER_ONLY", "accessType": "mount",
                        "fsType": "xfs", "mountFlags": ["noatime"],
                    },
                },
            },
        }]}));
        let all = volumes(&app, app.container.as_ref().unwrap());
        assert_eq!(
            (all[0].mode(), &*all[0].container_path),
            (v1::volume::Mode::Ro, "/data")
        );
        let source = all[0].source.as_ref().unwrap();
        assert_eq!(source.r#type(), Type::CsiVolume);
        let volume = source.csi_volume.as_ref().unwrap();
        assert_eq!(volume.plugin_name, "nfs");
        let of = volume.static_provisioning.as_ref().unwrap();
        assert_eq!(of.volume_id, "disk");
        assert_eq!(of.volume_context["server"], "s");
        let secret = of.node_stage_secrets["password"]
            .reference
            .as_ref()
            .unwrap();
        assert_eq!(secret.name, "store/password");
        let capability = &of.volume_capability;
        assert_eq!(capability.access_mode.mode(), Mode::MultiNodeReaderOnly);
        let Some(AccessType::Mount(mount)) = &capability.access_type else {
            panic!("{capability:?}");
        };
        assert_eq!(
            (mount.fs_type(), &*mount.mount_flags),
            ("xfs", &["noatime".to_owned()][..])
        );
    }
}
