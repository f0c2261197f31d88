pub(crate) mod stop;
