//! The UNet: its configuration, the function that writes it as a graph, start values, and the graphs made of it.

pub mod config;
pub mod init;
pub mod step;
pub mod unet;
