//! What tests run on.

use std::sync::{Arc, OnceLock};

use crate::{Cuda, Device, Emulator};

/// The card that `WHORL_CARD` names (`cuda:0`), the same one every time; else an emulator with all its checks, a new one every time.
///
/// # Panics
/// If there is no such card: a test that was to run on it has not passed.
pub fn device_of_tests() -> Arc<dyn Device> {
    static CARD: OnceLock<Option<Arc<Cuda>>> = OnceLock::new();
    let card = CARD.get_or_init(|| {
        let name = std::env::var("WHORL_CARD").ok()?;
        let number = name.strip_prefix("cuda:").and_then(|n| n.parse().ok());
        let number = number.unwrap_or_else(|| panic!("WHORL_CARD={name}: write cuda:0 for the first card"));
        Some(Arc::new(Cuda::open(number).unwrap_or_else(|e| panic!("WHORL_CARD={name}: {e}"))))
    });
    match card {
        Some(card) => card.clone(),
        None => Arc::new(Emulator::default()),
    }
}
