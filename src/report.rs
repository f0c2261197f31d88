pub(crate) mod summary;
