//! The product as people use it: the real gateway, the real `sealpost`, one world for each test.

mod life;
