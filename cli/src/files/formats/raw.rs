//! Files of numbers without a header.

use crate::failure::{Failure, Result};
use crate::files::array::Array;
use crate::files::element::Element;
use crate::files::hints::Hints;
use crate::input::Opened;

/// The logits that are the whole file, in the shape and the type that the user says.
pub(super) fn open(opened: Opened, hints: &Hints) -> Result<Array> {
    let (Some(shape), Some(dtype)) = (hints.shape.clone(), hints.dtype) else {
        let side = hints.side;
        return Err(Failure::Usage(format!("a raw file needs both --shape{side} and --dtype{side}")));
    };
    let element = Element::Logit(dtype);
    let needs = element.bytes_of(&opened.path, &shape)?;
    let data = opened.seekable(Some(needs))?;
    let has = data.bytes;
    if has != needs {
        let side = hints.side;
        let problem = if hints.is_of_sidecar {
            format!("holds {has} bytes, and the log was made of {shape:?} {dtype}, which are {needs}")
        } else {
            format!(
                "holds {has} bytes, but {shape:?} {dtype} are {needs}: correct --shape{side} or --dtype{side}"
            )
        };
        return Err(Failure::file(&data.path, problem));
    }
    Ok(Array::plain(data, 0, element, shape))
}
