//! One file a lesson: see the `examples` folder of this package.
