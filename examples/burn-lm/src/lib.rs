//! A small language model trained with Burn on the novels of Jane Austen.
//!
//! [`model`] is the transformer, [`data`] the text, its tokenizer and its splits. The program of
//! the same name trains the model and exports logits of text that it was not trained on; the program
//! `generate` is an engine that draws its tokens with sortilege.

pub mod data;
#[cfg(feature = "generate")]
pub mod engine;
pub mod model;
mod noise;
#[cfg(feature = "generate")]
pub mod place;
