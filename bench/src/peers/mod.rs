//! Those who do the same work, each behind plain blocking calls.

pub(crate) mod bao_tree;
pub(crate) mod cacache;
pub(crate) mod flat;
pub(crate) mod flatbao;
pub(crate) mod floor;
pub(crate) mod groups;
pub(crate) mod iroh;
