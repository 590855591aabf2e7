//! Whatever an agent can say reads back as it was.

use domain::model::{
    Attribute, ConfigFile, ConfigMap, DownloadDetails, PackageState, PackageStatus, Value,
};
use proptest::prelude::*;

use super::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        ".*".prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>()
            .prop_filter("NaN equals nothing", |d| !d.is_nan())
            .prop_map(Value::Double),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let entry = (".*", inner.clone()).prop_map(|(key, value)| Attribute { key, value });
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
            proptest::collection::vec(entry, 0..4).prop_map(Value::Map),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    proptest::collection::vec(
        (".*", value()).prop_map(|(key, value)| Attribute { key, value }),
        0..4,
    )
}

fn health() -> impl Strategy<Value = Health> {
    let node = (any::<bool>(), ".*", ".*", attributes()).prop_map(
        |(healthy, status, last_error, attributes)| Health {
            healthy,
            status,
            last_error,
            attributes,
            ..Health::default()
        },
    );
    node.prop_recursive(3, 12, 4, |inner| {
        (
            inner.clone(),
            proptest::collection::btree_map(".*", inner, 0..4),
        )
            .prop_map(|(node, components)| Health { components, ..node })
    })
}

proptest! {
    #[test]
    fn descriptions_read_back(identifying in attributes(), non_identifying in attributes()) {
        let description = AgentDescription { identifying, non_identifying };
        prop_assert_eq!(decode_description(&encode_description(&description)).unwrap(), description);
    }

    #[test]
    fn health_reads_back(tree in health()) {
        prop_assert_eq!(decode_health(&encode_health(&tree)).unwrap(), tree);
    }

    #[test]
    fn files_read_back(files in proptest::collection::btree_map(".*", (any::<Vec<u8>>(), ".*"), 0..4)) {
        let files: ConfigMap =
            files.into_iter().map(|(name, (body, kind))| (name, ConfigFile { body, content_type: kind })).collect();
        prop_assert_eq!(decode_files(&encode_files(&files)).unwrap(), files);
    }

    #[test]
    fn no_bytes_make_reading_files_panic(bytes in any::<Vec<u8>>()) {
        let _read = decode_files(&bytes);
    }

    #[test]
    fn labels_read_back(map in proptest::collection::btree_map(".{1,8}", ".{0,8}", 0..8)) {
        let labels: Labels = map.into_iter().collect();
        prop_assert_eq!(decode_labels(&encode_labels(&labels)).unwrap(), labels);
    }

    #[test]
    fn components_read_back(metadata in attributes(), names in proptest::collection::btree_set(".*", 0..4)) {
        let part = ComponentDetails { metadata, ..ComponentDetails::default() };
        let sub_components = names.into_iter().map(|name| (name, part.clone())).collect();
        let components = BTreeMap::from([("receivers".to_owned(), ComponentDetails { sub_components, ..part })]);
        prop_assert_eq!(decode_components(&encode_components(&components)).unwrap(), components);
    }
}

#[test]
fn package_statuses_read_back_in_every_state() {
    let states = [
        PackageState::Installed,
        PackageState::InstallPending,
        PackageState::Installing,
        PackageState::InstallFailed,
        PackageState::Downloading,
    ];
    let status = |state| PackageStatus {
        agent_has_version: "1".into(),
        agent_has_hash: vec![1],
        server_offered_version: "2".into(),
        server_offered_hash: vec![2],
        state,
        error: "e".into(),
        download: Some(DownloadDetails {
            percent: 12.5,
            bytes_per_second: f64::INFINITY,
        }),
    };
    let packages = states
        .map(|state| (state.as_str().to_owned(), status(state)))
        .into();
    let statuses = PackageStatuses {
        packages,
        server_provided_all_packages_hash: vec![9],
        error: "all".into(),
    };
    assert_eq!(
        decode_packages(&encode_packages(&statuses)).unwrap(),
        statuses
    );
}

#[test]
fn settings_and_custom_capabilities_read_back() {
    let status = ConnectionSettingsStatus {
        last_hash: vec![0, 255],
        state: ApplyState::Failed,
        error: "no".into(),
    };
    assert_eq!(decode_settings(&encode_settings(&status)).unwrap(), status);
    let capabilities = CustomCapabilities(vec!["a".into(), "b\0".into()]);
    assert_eq!(
        decode_custom_capabilities(&encode_custom_capabilities(&capabilities)).unwrap(),
        capabilities
    );
}

/// Messages are decoded to a depth of 100; a tree at that depth must read back and not fail at serde's own limit.
#[test]
fn the_deepest_trees_that_a_message_can_hold_read_back() {
    let deep = (0..48).fold(Health::default(), |inner, _| Health {
        components: BTreeMap::from([("c".to_owned(), inner)]),
        ..Health::default()
    });
    assert_eq!(decode_health(&encode_health(&deep)).unwrap(), deep);
    let list = (0..48).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let map = (0..32).fold(Value::Null, |inner, _| {
        Value::Map(vec![Attribute {
            key: "k".into(),
            value: inner,
        }])
    });
    let non_identifying = vec![Attribute::new("list", list), Attribute::new("map", map)];
    let description = AgentDescription {
        identifying: vec![],
        non_identifying,
    };
    assert_eq!(
        decode_description(&encode_description(&description)).unwrap(),
        description
    );
}

#[test]
fn what_is_not_ours_is_named_as_corrupt() {
    assert!(matches!(
        decode_health("{"),
        Err(StoreError::Corrupt { what: "health" })
    ));
    assert!(matches!(
        decode_files(&[7]),
        Err(StoreError::Corrupt {
            what: "config files"
        })
    ));
}
