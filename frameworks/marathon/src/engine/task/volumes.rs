//! What an app's container mounts: of the host, of other providers, secrets.
//! Volumes that Mesos keeps are mounted by what they are made of.

use mesos_sdk::v1;
use v1::volume::source::{DockerVolume, Type};

use crate::app::{App, Container, ContainerKind, External, Volume, VolumeMode};

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
}
