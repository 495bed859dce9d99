//! Networks: their description, their variables, and DMUE's branches on top.

mod backbones;
pub mod dmue;
pub mod network;
mod norm;
pub mod pretrained;
pub mod spec;
pub mod uncertainty;
