//! The operations behind `import cf from "cloudfront"`: which key value store a handler means, and
//! what is in it. Reading is `runtime`'s.

use crate::engine::ops::Shared;
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use std::rc::Rc;

/// The number of the store with this name or id; without a name, of the only one.
#[op2(fast)]
#[smi]
pub(crate) fn op_selvedge_store(state: &mut OpState, #[string] name: &str, named: bool) -> Result<u32, JsErrorBox> {
    let stores = state.borrow::<Rc<Shared>>().stores.borrow();
    let nth = stores.choose(named.then_some(name)).map_err(refused)?;
    u32::try_from(nth).map_err(refused)
}

/// What its function calls it.
#[op2]
#[string]
pub(crate) fn op_selvedge_store_name(state: &mut OpState, #[smi] nth: u32) -> String {
    state.borrow::<Rc<Shared>>().stores.borrow().name(nth as usize).to_owned()
}

/// The value of a key; `null` when there is none.
#[op2]
#[string]
pub(crate) fn op_selvedge_store_find(
    state: &mut OpState,
    #[smi] nth: u32,
    #[string] key: &str,
) -> Result<Option<String>, JsErrorBox> {
    let mut stores = state.borrow::<Rc<Shared>>().stores.borrow_mut();
    Ok(stores.table(nth as usize).map_err(refused)?.find(key).map(str::to_owned))
}

/// How many pairs it has, and when it was made and last changed in Unix milliseconds.
#[op2(fast)]
pub(crate) fn op_selvedge_store_meta(
    state: &mut OpState,
    #[smi] nth: u32,
    #[buffer] out: &mut [f64],
) -> Result<(), JsErrorBox> {
    let mut stores = state.borrow::<Rc<Shared>>().stores.borrow_mut();
    let table = stores.table(nth as usize).map_err(refused)?;
    let times = table.times();
    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds since 1970 are exact in a double")]
    let values = [table.count() as f64, times.created_ms as f64, times.updated_ms as f64];
    out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
    Ok(())
}

fn refused(error: impl std::fmt::Display) -> JsErrorBox {
    JsErrorBox::generic(error.to_string())
}
