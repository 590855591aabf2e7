//! A fleet against servers over real sockets.

mod echo;
