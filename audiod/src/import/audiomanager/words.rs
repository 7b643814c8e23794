//! The generic controller's words: triggers, enumerations with their numbers, macros.

/// Its triggers, without `TRIGGER_UNKNOWN` and `TRIGGER_MAX`.
pub(super) const TRIGGERS: [&str; 34] = [
    "USER_CONNECTION_REQUEST",
    "USER_DISCONNECTION_REQUEST",
    "USER_SET_SINK_MUTE_STATE",
    "USER_SET_VOLUME",
    "USER_SET_SINK_MAIN_SOUND_PROPERTY",
    "USER_SET_SINK_MAIN_SOUND_PROPERTIES",
    "USER_SET_SOURCE_MAIN_SOUND_PROPERTY",
    "USER_SET_SOURCE_MAIN_SOUND_PROPERTIES",
    "USER_SET_SYSTEM_PROPERTY",
    "USER_SET_SYSTEM_PROPERTIES",
    "USER_SET_SINK_MAIN_NOTIFICATION_CONFIGURATION",
    "USER_SET_SOURCE_MAIN_NOTIFICATION_CONFIGURATION",
    "SYSTEM_SOURCE_AVAILABILITY_CHANGED",
    "SYSTEM_SINK_AVAILABILITY_CHANGED",
    "SYSTEM_INTERRUPT_STATE_CHANGED",
    "SYSTEM_SINK_MUTE_STATE_CHANGED",
    "SYSTEM_SINK_MAIN_SOUND_PROPERTY_CHANGED",
    "SYSTEM_SOURCE_MAIN_SOUND_PROPERTY_CHANGED",
    "SYSTEM_VOLUME_CHANGED",
    "SYSTEM_SINK_NOTIFICATION_DATA_CHANGED",
    "SYSTEM_SOURCE_NOTIFICATION_DATA_CHANGED",
    "SYSTEM_REGISTER_DOMAIN",
    "SYSTEM_REGISTER_SOURCE",
    "SYSTEM_REGISTER_SINK",
    "SYSTEM_REGISTER_GATEWAY",
    "SYSTEM_REGISTER_EARLY_CONNECTION",
    "SYSTEM_DEREGISTER_DOMAIN",
    "SYSTEM_DEREGISTER_SOURCE",
    "SYSTEM_DEREGISTER_SINK",
    "SYSTEM_DEREGISTER_GATEWAY",
    "SYSTEM_DOMAIN_REGISTRATION_COMPLETE",
    "SYSTEM_ALL_DOMAIN_REGISTRATION_COMPLETE",
    "SYSTEM_CONNECTION_STATE_CHANGE",
    "SYSTEM_STORED_SINK_VOLUME",
];

/// Any of [`TRIGGERS`].
pub(super) const ANY: &str = "USER_ALL_TRIGGER";

/// `USER_SET_VOLUME` as our rules call it: `user.set_volume`.
pub(super) fn trigger(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.replacen('_', ".", 1)
}

/// A trigger whose request has a source that sounds or is about to: a cause for what a rule holds.
pub(super) fn has_cause(trigger: &str) -> bool {
    [
        "USER_CONNECTION_REQUEST",
        "SYSTEM_INTERRUPT_STATE_CHANGED",
        "SYSTEM_SOURCE_AVAILABILITY_CHANGED",
    ]
    .contains(&trigger)
}

/// Enumerators that our expressions have as words.
const WORDS: [(&str, &str); 23] = [
    ("CS_UNKNOWN", "unknown"),
    ("CS_CONNECTING", "connecting"),
    ("CS_CONNECTED", "connected"),
    ("CS_DISCONNECTING", "disconnecting"),
    ("CS_DISCONNECTED", "disconnected"),
    ("CS_SUSPENDED", "suspended"),
    ("MS_MUTED", "muted"),
    ("MS_UNMUTED", "unmuted"),
    ("A_AVAILABLE", "available"),
    ("A_UNAVAILABLE", "unavailable"),
    ("SS_ON", "on"),
    ("SS_OFF", "off"),
    ("SS_PAUSED", "paused"),
    ("DS_CONTROLLED", "controlled"),
    ("DS_INDEPENDENT_STARTUP", "independent_startup"),
    ("DS_INDEPENDENT_RUNDOWN", "independent_rundown"),
    ("IS_OFF", "off"),
    ("IS_INTERRUPTED", "interrupted"),
    ("O_NEWEST", "newest"),
    ("O_OLDEST", "oldest"),
    ("O_HIGH_PRIORITY", "high_priority"),
    ("O_LOW_PRIORITY", "low_priority"),
    ("TRUE", "true"),
];

/// Enumerators that are numbers.
const NUMBERS: [(&str, i64); 49] = [
    ("E_OK", 0),
    ("E_UNKNOWN", 1),
    ("E_OUT_OF_RANGE", 2),
    ("E_NOT_USED", 3),
    ("E_DATABASE_ERROR", 4),
    ("E_ALREADY_EXISTS", 5),
    ("E_NO_CHANGE", 6),
    ("E_NOT_POSSIBLE", 7),
    ("E_NON_EXISTENT", 8),
    ("E_ABORTED", 9),
    ("E_WRONG_FORMAT", 10),
    ("E_COMMUNICATION", 11),
    ("AR_UNKNOWN", 0),
    ("AR_GENIVI_NEWMEDIA", 1),
    ("AR_GENIVI_SAMEMEDIA", 2),
    ("AR_GENIVI_NOMEDIA", 3),
    ("AR_GENIVI_TEMPERATURE", 4),
    ("AR_GENIVI_VOLTAGE", 5),
    ("AR_GENIVI_ERRORMEDIA", 6),
    ("MSP_UNKNOWN", 0),
    ("MSP_GENIVI_TREBLE", 1),
    ("MSP_GENIVI_MID", 2),
    ("MSP_GENIVI_BASS", 3),
    ("SP_UNKNOWN", 0),
    ("SP_GENIVI_TREBLE", 1),
    ("SP_GENIVI_MID", 2),
    ("SP_GENIVI_BASS", 3),
    ("SYP_UNKNOWN", 0),
    ("SYP_GLOBAL_LOG_THRESHOLD", 61_440),
    ("SYP_REGISTRATION_ALLOW_UNKNOWN_ELEMENT", 61_568),
    ("SYP_REGISTRATION_DOMAIN_TIMEOUT", 61_569),
    ("SYP_REGISTRATION_SOUND_PROP_RESTORED", 61_570),
    ("SYP_REGSTRATION_SOUND_PROP_RESTORED", 61_570),
    ("SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTE", 61_696),
    ("SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTES", 61_696),
    ("CP_PER_SINK_CLASS_VOLUME_SUPPORT", 61_440),
    ("NT_UNKNOWN", 0),
    ("NS_UNKNOWN", 0),
    ("NS_OFF", 1),
    ("NS_PERIODIC", 2),
    ("NS_MINIMUM", 3),
    ("NS_MAXIMUM", 4),
    ("NS_CHANGE", 5),
    ("CF_UNKNOWN", 0),
    ("CF_GENIVI_MONO", 1),
    ("CF_GENIVI_STEREO", 2),
    ("CF_GENIVI_ANALOG", 3),
    ("CF_GENIVI_AUTO", 4),
    ("FALSE", 0),
];

/// Macros for fields of the request, and our fields.
const FIELDS: [(&str, &str); 23] = [
    ("REQUESTING", "request.source"),
    ("REQ_TRIG_TYPE", "request.trigger"),
    ("REQ_SINK_NAME", "request.sink"),
    ("REQ_SOURCE_NAME", "request.source"),
    ("REQ_DOMAIN_NAME", "request.domain"),
    ("REQ_GATEWAY_NAME", "request.gateway"),
    ("REQ_CLASS_NAME", "request.class"),
    ("REQ_CON_NAME", "request.connection"),
    ("REQ_CON_STATE", "request.connection_state"),
    ("REQ_STATUS", "request.status"),
    ("REQ_MAIN_VOL", "request.main_volume"),
    ("REQ_MSP_TYPE", "request.property_type"),
    ("REQ_MSP_VAL", "request.property_value"),
    ("REQ_SYP_TYPE", "request.system_property_type"),
    ("REQ_SYP_VAL", "request.system_property_value"),
    ("REQ_AVAIL_STATE", "request.availability"),
    ("REQ_AVAIL_REASON", "request.availability_reason"),
    ("REQ_MUTE_STATE", "request.mute"),
    ("REQ_INT_STATE", "request.interrupt"),
    ("REQ_NP_TYPE", "request.notification_type"),
    ("REQ_NP_VAL", "request.notification_value"),
    ("REQ_NC_TYPE", "request.notification_configuration_type"),
    ("REQ_NC_STATUS", "request.notification_configuration_status"),
];

fn look<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
}

/// Our word or number for an enumerator.
pub(super) fn enumerator(word: &str) -> Option<String> {
    if word == "FALSE" {
        return Some("false".to_owned());
    }
    look(&WORDS, word)
        .map(str::to_owned)
        .or_else(|| number(word).map(|number| number.to_string()))
}

/// The number of an enumerator that is one.
pub(super) fn number(word: &str) -> Option<i64> {
    look(&NUMBERS, word).filter(|_| word != "FALSE")
}

/// Our field for a macro.
pub(super) fn field(word: &str) -> Option<&'static str> {
    match word {
        "REQ_NC_PARAM" => Some("request.notification_configuration_param"),
        _ => look(&FIELDS, word),
    }
}
