//! Who this agent is: an instance uid that stays the same over restarts, damaged files and changes of the collector.

use std::fs;
use std::path::Path;

use opamp::model::InstanceUid;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use uuid::Uuid;

use crate::storage::record::{Record, SaveError};

/// The namespace of uids that are derived from a name.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f70_616d_702d_4167_ad65_6e74_2d75_6964);

/// The identity and where it is kept.
#[derive(Debug)]
pub struct Identity {
    record: Record<Kept>,
    kept: Kept,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    uid: Uuid,
    /// The configured `instance_id` at the time; another one makes another identity.
    instance_id: Option<String>,
    /// Marks the processes that belong to this storage directory.
    storage_id: Uuid,
}

impl Identity {
    /// The identity in `directory`, or a new one: the configured UUID, a uid derived from the configured name and the
    /// machine's id, or else a random one.
    ///
    /// # Errors
    /// When a new identity cannot be saved.
    pub fn load(
        directory: &Path,
        instance_id: Option<&str>,
        machine_id: Option<&str>,
    ) -> Result<Self, SaveError> {
        let instance_id = instance_id.map(str::trim).filter(|id| !id.is_empty());
        let record = Record::<Kept>::new(directory, "identity");
        let earlier = record.load();
        if let Some(kept) = &earlier
            && kept.instance_id.as_deref() == instance_id
        {
            return Ok(Self {
                kept: kept.clone(),
                record,
            });
        }
        let storage_id = earlier
            .as_ref()
            .map_or_else(Uuid::now_v7, |kept| kept.storage_id);
        let uid = instance_id.map_or_else(Uuid::now_v7, |id| derive(id, machine_id));
        if let Some(earlier) = earlier {
            warn!(event = "identity_changed", old = %earlier.uid, new = %uid, "opamp.agent.instance_id was changed: this is another agent now");
        }
        let kept = Kept {
            uid,
            instance_id: instance_id.map(str::to_owned),
            storage_id,
        };
        record.save_twice(&kept)?;
        Ok(Self { record, kept })
    }

    /// The uid on the wire.
    pub fn uid(&self) -> InstanceUid {
        InstanceUid::new(self.kept.uid.into_bytes())
    }

    /// What `service.instance.id` says: the configured name, or the uid where there is none or it is a UUID.
    pub fn service_instance_id(&self) -> String {
        let name = self
            .kept
            .instance_id
            .as_deref()
            .filter(|id| Uuid::parse_str(id).is_err());
        name.map_or_else(|| self.kept.uid.to_string(), str::to_owned)
    }

    /// Marks the processes of this agent.
    pub fn storage_id(&self) -> String {
        self.kept.storage_id.to_string()
    }

    /// Takes the uid that the server assigned, for good.
    ///
    /// # Errors
    /// When it cannot be saved; it is in use all the same.
    pub fn take_assigned(&mut self, uid: InstanceUid) -> Result<(), SaveError> {
        let old = std::mem::replace(&mut self.kept.uid, Uuid::from_bytes(uid.into_bytes()));
        info!(event = "uid_assigned", old = %old, new = %uid, "the server assigned a new instance uid");
        self.record.save_twice(&self.kept)
    }
}

/// The id of this machine, if it has one.
pub fn machine_id() -> Option<String> {
    let read =
        |path| Some(fs::read_to_string(path).ok()?.trim().to_owned()).filter(|id| !id.is_empty());
    read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"))
}

fn derive(instance_id: &str, machine_id: Option<&str>) -> Uuid {
    if let Ok(uid) = Uuid::parse_str(instance_id)
        && !uid.is_nil()
    {
        return uid;
    }
    let name = format!("{}\0{instance_id}", machine_id.unwrap_or_default());
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(directory: &Path, instance_id: Option<&str>) -> String {
        Identity::load(directory, instance_id, Some("m1"))
            .unwrap()
            .uid()
            .to_string()
    }

    #[test]
    fn a_uuid_is_used_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let id = "0193a5b0-0000-7000-8000-0000000000aa";
        assert_eq!(uid(directory.path(), Some(id)), id);
        assert_eq!(
            Identity::load(directory.path(), Some(id), None)
                .unwrap()
                .service_instance_id(),
            id
        );
    }

    #[test]
    fn a_name_gives_the_same_uid_on_the_same_machine() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(
            uid(one.path(), Some("edge-1")),
            uid(two.path(), Some("edge-1"))
        );
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Identity::load(elsewhere.path(), Some("edge-1"), Some("m2")).unwrap();
        assert_ne!(other.uid().to_string(), uid(one.path(), Some("edge-1")));
        assert_eq!(other.service_instance_id(), "edge-1");
    }

    #[test]
    fn without_a_name_a_uid_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = uid(directory.path(), None);
        assert_eq!(uid(directory.path(), Some("  ")), first);
        assert_ne!(uid(tempfile::tempdir().unwrap().path(), None), first);
    }

    #[test]
    fn id_05_an_assigned_uid_wins_and_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut identity = Identity::load(directory.path(), Some("edge-1"), None).unwrap();
        let storage_id = identity.storage_id();
        identity.take_assigned(InstanceUid::new([7; 16])).unwrap();
        let again = Identity::load(directory.path(), Some("edge-1"), None).unwrap();
        assert_eq!(again.uid(), InstanceUid::new([7; 16]));
        assert_eq!(again.storage_id(), storage_id);
        assert_ne!(
            uid(directory.path(), Some("edge-2")),
            again.uid().to_string(),
            "another name is another agent"
        );
    }

    #[test]
    fn a_torn_file_does_not_change_the_identity() {
        let directory = tempfile::tempdir().unwrap();
        let first = uid(directory.path(), None);
        let path = directory.path().join("identity.json");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(uid(directory.path(), None), first, "cut at {length}");
        }
    }
}
