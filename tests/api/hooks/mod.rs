//! Hooks, put to work as an operator would: the shipped `hook-webhook`, configured,
//! granted, and a receiver that listens on this machine.

mod sink;
mod webhook;
