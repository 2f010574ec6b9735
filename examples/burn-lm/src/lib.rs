//! A small language model trained with Burn on the novels of Jane Austen.
//!
//! [`model`] is the transformer, [`data`] the text, its tokenizer and its splits. The program of
//! the same name trains the model and exports logits of text that it was not trained on.

pub mod data;
pub mod model;
