//! The AudioManager D-Bus interfaces and ours, the client library and `audioctl`.
//!
//! * [`access`]: roles, and who has them;
//! * [`client`]: typed calls, signals, names;
//! * [`private_bus`]: a `dbus-daemon` of one's own, for demos and tests;
//! * [`server`]: one ordered dispatcher over raw messages, for the control process;
//! * [`status`]: the JSON that `Status` returns;
//! * [`why`]: the first silent link between a guest and the loudspeaker;
//! * [`names`]: bus name, paths and interfaces.
//!
//! Wire contract: GENIVI AudioManager 8, `PluginCommandInterfaceDbus` (Command 4.1) and `PluginRoutingInterfaceDbus` (Routing
//! 6.0), as their code behaves and not as their published XML says: dispatch is by member, every command method answers with
//! its return code (`n`) first, routing methods with theirs (`q`) last.

pub mod access;
pub mod client;
pub mod history;
pub mod private_bus;
pub mod server;
pub mod status;
pub mod why;

/// Names on the bus.
pub mod names {
    /// The one name this daemon owns.
    pub const BUS_NAME: &str = "org.genivi.audiomanager";
    /// Object of the command interface.
    pub const COMMAND_PATH: &str = "/org/genivi/audiomanager/commandinterface";
    /// The command interface.
    pub const COMMAND_INTERFACE: &str = "org.genivi.audiomanager.commandinterface";
    /// Object of the routing interface.
    pub const ROUTING_PATH: &str = "/org/genivi/audiomanager/routinginterface";
    /// The routing interface: domains of other processes.
    pub const ROUTING_INTERFACE: &str = "org.genivi.audiomanager.routinginterface";
    /// AudioManager's root object: Introspect only.
    pub const ROOT_PATH: &str = "/org/genivi/audiomanager";
    /// Our own object, on the same connection and name.
    pub const OWN_PATH: &str = "/org/carillon/audio";
    /// Our own interface: Status, Chime, SetSourceGain, SetSourceMute, signal Event.
    pub const OWN_INTERFACE: &str = "org.carillon.Audio1";
}
