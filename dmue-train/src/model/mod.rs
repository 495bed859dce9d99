//! Networks: their description, their variables, and DMUE's branches on top.

pub mod dmue;
pub mod network;
pub mod spec;
pub mod uncertainty;
