//! The Transformer: layers of attention and feed-forward nets with residual connections.
//!
//! The axis of samples comes first, or any axes: `[.., length, width]`. Masks are those of
//! [`MultiheadAttention`](crate::MultiheadAttention): truth values, where **true takes part**, or floats that are added.

mod decoder;
mod encoder;
mod settings;
mod whole;

pub use self::{
    decoder::{TransformerDecoder, TransformerDecoderConfig, TransformerDecoderLayer, TransformerDecoderLayerConfig},
    encoder::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderLayer, TransformerEncoderLayerConfig},
    whole::{Transformer, TransformerConfig},
};
