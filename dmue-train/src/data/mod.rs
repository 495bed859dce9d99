//! Faces with labels: where they come from, how they are drawn, how they are varied.

pub mod affectnet;
pub mod affectnet_arrays;
pub mod affectnet_list;
pub mod alignment;
pub mod augment;
pub mod corrupt;
pub mod crop;
pub mod dataset;
pub mod degrade;
pub mod expressions;
pub mod ferplus_csv;
pub mod folder;
pub mod inspect;
pub mod layout;
pub mod list;
pub mod mixing;
pub mod npy;
pub mod pack;
pub mod raf_db;
pub mod sample;
pub mod sampler;
pub mod sheet;
pub mod split;
pub mod table;
pub mod votes;
