//! One file a lesson: see the `examples` folder of this package, and `tests` for
//! how a framework is tested.
