//! What every [`crate::store::share::ShareStore`] must do.
