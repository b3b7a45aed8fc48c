//! The part of CPython's C interface that the hooks use, and small helpers over it.
//!
//! Everything here is called with the interpreter's lock held. Functions that are not in the limited
//! interface are exported by every CPython that we support, 3.10 to 3.13, and were so all along.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(crate) use pyo3::ffi::*;

/// A borrowed object; null where the interpreter has an error to tell.
pub(crate) type Object = *mut PyObject;

unsafe extern "C-unwind" {
    #[link_name = "PyFunction_Type"]
    pub(crate) static mut function_type: PyTypeObject;
    #[link_name = "PyFrame_Type"]
    pub(crate) static mut frame_type: PyTypeObject;
    #[link_name = "PyCode_Type"]
    pub(crate) static mut code_type: PyTypeObject;
    #[link_name = "PyMethod_Type"]
    pub(crate) static mut method_type: PyTypeObject;
    pub(crate) fn PyContext_Enter(context: Object) -> c_int;
    pub(crate) fn PyContext_Exit(context: Object) -> c_int;
    pub(crate) fn PyContext_CopyCurrent() -> Object;
    pub(crate) fn PyMethod_Function(method: Object) -> Object;
    pub(crate) fn PyFrame_GetBack(frame: *mut PyFrameObject) -> *mut PyFrameObject;
    pub(crate) fn PyMethod_New(function: Object, object: Object) -> Object;
    pub(crate) fn PyVectorcall_Call(callable: Object, args: Object, kwargs: Object) -> Object;
    #[link_name = "PyObject_Call"]
    pub(crate) fn call_object(callable: Object, args: Object, kwargs: Object) -> Object;
    fn PyObject_VectorcallDict(
        callable: Object,
        args: *const Object,
        nargs: usize,
        kwargs: Object,
    ) -> Object;
    #[link_name = "PyObject_VectorcallMethod"]
    pub(crate) fn vectorcall_method(
        name: Object,
        args: *const Object,
        nargs: usize,
        names: Object,
    ) -> Object;
}

/// As `PY_VECTORCALL_ARGUMENTS_OFFSET`: the callee may use the slot before the first argument.
pub(crate) const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// What calls an object: what it runs may end the thread, as any Python code may at exit.
pub(crate) type Vectorcall =
    unsafe extern "C-unwind" fn(Object, *const Object, usize, Object) -> Object;

/// `PyObject_Vectorcall`, which CPython 3.10 has only in its headers.
static VECTORCALL: OnceLock<Vectorcall> = OnceLock::new();

fn find_vectorcall() -> Vectorcall {
    // SAFETY: looks a name up among what is loaded; the type is that of CPython's declaration.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"PyObject_Vectorcall".as_ptr());
        if symbol.is_null() {
            vectorcall_by_dict
        } else {
            std::mem::transmute::<*mut libc::c_void, Vectorcall>(symbol)
        }
    }
}

/// Calls with `nargs` arguments by place, and then those that `names`, null or a tuple, names.
#[inline(always)]
pub(crate) unsafe fn vectorcall(
    callable: Object,
    args: *const Object,
    nargs: usize,
    names: Object,
) -> Object {
    // SAFETY: as the caller says.
    unsafe { VECTORCALL.get_or_init(find_vectorcall)(callable, args, nargs, names) }
}

unsafe extern "C-unwind" fn vectorcall_by_dict(
    callable: Object,
    args: *const Object,
    nargs: usize,
    names: Object,
) -> Object {
    // SAFETY: as many live arguments as are said to be there.
    unsafe {
        let count = if names.is_null() { 0 } else { PyTuple_Size(names) };
        if count == 0 {
            return PyObject_VectorcallDict(callable, args, nargs, null_mut());
        }
        let kwargs = Ref(PyDict_New());
        if kwargs.is_null() {
            return null_mut();
        }
        for index in 0..count {
            let value = *args.add((nargs & !ARGUMENTS_OFFSET) + index as usize);
            if PyDict_SetItem(kwargs.0, PyTuple_GetItem(names, index), value) != 0 {
                return null_mut();
            }
        }
        PyObject_VectorcallDict(callable, args, nargs & !ARGUMENTS_OFFSET, kwargs.0)
    }
}

/// Whether the interpreter is about to end: from then on nothing is given back.
pub(crate) static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// An object that is given back when dropped; may be null.
pub(crate) struct Ref(pub(crate) Object);

impl Ref {
    /// One more reference to a borrowed object.
    pub(crate) unsafe fn to(object: Object) -> Self {
        // SAFETY: the caller borrows it from somebody who keeps it alive.
        unsafe { Py_XINCREF(object) };
        Self(object)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Gives the reference to somebody else.
    pub(crate) fn leak(self) -> Object {
        let object = self.0;
        std::mem::forget(self);
        object
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        // A daemon thread that wants the lock while the interpreter ends is unwound, without the lock.
        if IS_ENDING.load(Relaxed) {
            return;
        }
        // SAFETY: we own one reference, or it is null; the lock is held.
        unsafe { Py_XDECREF(self.0) }
    }
}

/// The word at an offset of an object.
#[inline(always)]
pub(crate) unsafe fn read(object: Object, offset: usize) -> Object {
    // SAFETY: the caller has the offset from `Layout`, of this object's type.
    unsafe { *object.cast::<u8>().add(offset).cast::<Object>() }
}

/// Sets the word at an offset of an object, whatever was there.
#[inline(always)]
pub(crate) unsafe fn write(object: Object, offset: usize, value: Object) {
    // SAFETY: as `read`.
    unsafe { *object.cast::<u8>().add(offset).cast::<Object>() = value }
}

/// The 32 bits at an offset of an object.
#[inline(always)]
pub(crate) unsafe fn read_i32(object: Object, offset: usize) -> i32 {
    // SAFETY: as `read`.
    unsafe { *object.cast::<u8>().add(offset).cast::<i32>() }
}

/// The type of an object.
#[inline(always)]
pub(crate) unsafe fn type_of(object: Object) -> Object {
    // SAFETY: the caller gives a live object.
    unsafe { Py_TYPE(object) }.cast()
}

/// Whether this is CPython 3.10.
pub(crate) fn is_3_10() -> bool {
    // SAFETY: a string that ends in NUL and lives for ever.
    let version = unsafe { CStr::from_ptr(Py_GetVersion()) };
    version.to_bytes().starts_with(b"3.10.")
}

/// The type of builtin functions.
#[inline(always)]
pub(crate) fn builtin_type() -> Object {
    (&raw mut PyCFunction_Type).cast()
}

/// A new reference to `None`.
pub(crate) unsafe fn none() -> Object {
    // SAFETY: `None` is there as long as the interpreter.
    unsafe { Py_NewRef(Py_None()) }
}

/// An interned string, which lives as long as the interpreter.
pub(crate) unsafe fn interned(text: &CStr) -> Object {
    // SAFETY: a string that ends in NUL.
    unsafe { PyUnicode_InternFromString(text.as_ptr()) }
}

/// `object.name(argument)`; a new reference.
#[inline(always)]
pub(crate) unsafe fn call_method1(object: Object, name: Object, argument: Object) -> Object {
    let args = [null_mut(), object, argument];
    // SAFETY: two live arguments, with a free slot before them.
    unsafe { vectorcall_method(name, args.as_ptr().add(1), 2 | ARGUMENTS_OFFSET, null_mut()) }
}

/// `object.name()`; a new reference.
#[inline(always)]
pub(crate) unsafe fn call_method0(object: Object, name: Object) -> Object {
    let args = [null_mut(), object];
    // SAFETY: one live argument, with a free slot before it.
    unsafe { vectorcall_method(name, args.as_ptr().add(1), 1 | ARGUMENTS_OFFSET, null_mut()) }
}

/// `function()`; a new reference.
#[inline(always)]
pub(crate) unsafe fn call0(function: Object) -> Object {
    // SAFETY: a live function, and no arguments.
    unsafe { vectorcall(function, null_mut(), 0, null_mut()) }
}

/// `function(argument)`; a new reference.
#[inline(always)]
pub(crate) unsafe fn call1(function: Object, argument: Object) -> Object {
    let args = [argument];
    // SAFETY: a live function with one live argument.
    unsafe { vectorcall(function, args.as_ptr(), 1, null_mut()) }
}

/// Arguments as methods get them: `args` first by place, then by the names in `names`, if any.
#[derive(Clone, Copy)]
pub(crate) struct Args {
    pub(crate) args: *const Object,
    pub(crate) nargs: Py_ssize_t,
    pub(crate) names: Object,
}

impl Args {
    /// How many come by name.
    pub(crate) unsafe fn named(self) -> usize {
        // SAFETY: null or a tuple, as the interpreter gives it.
        unsafe { if self.names.is_null() { 0 } else { PyTuple_Size(self.names) as usize } }
    }

    /// One by place; null if there are fewer.
    pub(crate) unsafe fn get(self, index: usize) -> Object {
        // SAFETY: within the arguments.
        unsafe { if index < self.nargs as usize { *self.args.add(index) } else { null_mut() } }
    }

    /// `function(object, …)` with these arguments; a new reference.
    pub(crate) unsafe fn call(self, function: Object, object: Object) -> Object {
        const MOST: usize = 12;
        // SAFETY: as many live arguments as are said to be there.
        unsafe {
            let total = self.nargs as usize + self.named();
            let mut all = [null_mut(); MOST + 1];
            if total > MOST {
                let mut all = Vec::with_capacity(total + 1);
                all.push(object);
                all.extend((0..total).map(|i| *self.args.add(i)));
                return vectorcall(function, all.as_ptr(), self.nargs as usize + 1, self.names);
            }
            all[0] = object;
            std::ptr::copy_nonoverlapping(self.args, all.as_mut_ptr().add(1), total);
            vectorcall(function, all.as_ptr(), self.nargs as usize + 1, self.names)
        }
    }
}

/// A type whose instances are called by the function at `vectorcall` bytes into them, are seen by the
/// collector of garbage, and are made by nobody else. Null with an error set if that failed.
pub(crate) unsafe fn callable_type(
    name: &'static CStr,
    size: usize,
    vectorcall: usize,
    more_flags: u32,
    slots: &[(c_int, *mut c_void)],
) -> Object {
    /// As `Py_TPFLAGS_DISALLOW_INSTANTIATION` and `Py_TPFLAGS_HAVE_VECTORCALL`, of which the limited
    /// interface has the second from 3.12 on.
    const FLAGS: u32 = 1 << 7 | 1 << 11;
    let offset = PyMemberDef {
        name: c"__vectorcalloffset__".as_ptr(),
        type_code: Py_T_PYSSIZET,
        offset: vectorcall as Py_ssize_t,
        flags: Py_READONLY,
        doc: std::ptr::null(),
    };
    let end = PyMemberDef {
        name: std::ptr::null(),
        type_code: 0,
        offset: 0,
        flags: 0,
        doc: std::ptr::null(),
    };
    // There are two such types in a process.
    let members = Box::leak(Box::new([offset, end]));
    let mut all: Vec<_> = slots.iter().map(|&(slot, pfunc)| PyType_Slot { slot, pfunc }).collect();
    all.push(PyType_Slot { slot: Py_tp_members, pfunc: members.as_mut_ptr().cast() });
    all.push(PyType_Slot { slot: 0, pfunc: null_mut() });
    let mut spec = PyType_Spec {
        name: name.as_ptr(),
        basicsize: size as c_int,
        itemsize: 0,
        flags: (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC) as u32 | FLAGS | more_flags,
        slots: all.as_mut_ptr(),
    };
    // SAFETY: the type copies what the specification says; its name and members live for ever.
    unsafe { PyType_FromSpec(&mut spec) }
}

/// A method without or with one argument. The interpreter's type says that it does not unwind, which
/// means: by no exception of C++ or Rust.
pub(crate) const fn plain_method(
    run: unsafe extern "C-unwind" fn(Object, Object) -> Object,
) -> PyMethodDefPointer {
    // SAFETY: the same function, called in the same way.
    unsafe {
        PyMethodDefPointer {
            PyCFunction: std::mem::transmute::<
                unsafe extern "C-unwind" fn(Object, Object) -> Object,
                unsafe extern "C" fn(Object, Object) -> Object,
            >(run),
        }
    }
}

/// A method with any arguments.
pub(crate) fn fast_method(run: FastMethod) -> PyMethodDefPointer {
    // SAFETY: the same function, called in the same way.
    unsafe {
        PyMethodDefPointer {
            PyCFunctionFastWithKeywords: std::mem::transmute::<
                FastMethod,
                unsafe extern "C" fn(Object, *const Object, Py_ssize_t, Object) -> Object,
            >(run),
        }
    }
}

/// See [`fast_method`].
pub(crate) type FastMethod =
    unsafe extern "C-unwind" fn(Object, *const Object, Py_ssize_t, Object) -> Object;

/// How a function of one argument is defined.
pub(crate) const fn method_of_one(
    name: &'static CStr,
    run: unsafe extern "C-unwind" fn(Object, Object) -> Object,
) -> PyMethodDef {
    PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: plain_method(run),
        ml_flags: METH_O,
        ml_doc: std::ptr::null(),
    }
}

/// A weak reference to an object, which calls a function of one argument, with a number as its `self`,
/// when the object is gone; `None` for objects that can have none. Leaves no error behind.
pub(crate) unsafe fn weak_reference(
    object: Object,
    gone: *mut PyMethodDef,
    number: usize,
) -> Option<Object> {
    // SAFETY: a live object; the definition lives for ever and is never changed, the number is kept by
    // the function, and that by the reference.
    unsafe {
        let number = Ref(PyLong_FromSize_t(number));
        let callback = Ref(PyCFunction_NewEx(gone, number.0, null_mut()));
        let reference = PyWeakref_NewRef(object, callback.0);
        if reference.is_null() {
            PyErr_Clear();
            return None;
        }
        Some(reference)
    }
}

/// An attribute of an object; `None` if it has none. Leaves no error behind.
pub(crate) unsafe fn attribute(object: Object, name: &CStr) -> Option<Ref> {
    // SAFETY: the caller gives a live object; a new reference, or an error.
    unsafe {
        let value = Ref(PyObject_GetAttrString(object, name.as_ptr()));
        if value.is_null() {
            PyErr_Clear();
            return None;
        }
        Some(value)
    }
}

/// What a module has by this name; `None` if it has not, or there is no such module. Leaves no error
/// behind.
pub(crate) unsafe fn imported(module: &CStr, name: &CStr) -> Option<Ref> {
    // SAFETY: strings that end in NUL; a new reference, or an error.
    unsafe {
        let module = Ref(PyImport_ImportModule(module.as_ptr()));
        if module.is_null() {
            PyErr_Clear();
            return None;
        }
        attribute(module.0, name)
    }
}

/// A text attribute of an object, empty if it has none. Leaves no error behind.
pub(crate) unsafe fn text_attribute(object: Object, name: &CStr) -> String {
    // SAFETY: the caller gives a live object.
    unsafe { attribute(object, name).map_or_else(String::new, |value| text(value.0)) }
}

/// The text of a string, empty for anything else. Leaves no error behind.
pub(crate) unsafe fn text(object: Object) -> String {
    // SAFETY: null or live; the text is copied before anything else happens.
    unsafe {
        if object.is_null() || PyUnicode_Check(object) == 0 {
            PyErr_Clear();
            return String::new();
        }
        let mut len = 0;
        let data = PyUnicode_AsUTF8AndSize(object, &mut len);
        if data.is_null() {
            // Lone surrogates, as in names of files that are no text.
            PyErr_Clear();
            return String::new();
        }
        String::from_utf8_lossy(std::slice::from_raw_parts(data.cast(), len as usize)).into_owned()
    }
}

/// A whole number attribute of an object, 0 if it has none. Leaves no error behind.
pub(crate) unsafe fn number_attribute(object: Object, name: &CStr) -> u32 {
    // SAFETY: the caller gives a live object.
    unsafe {
        let Some(value) = attribute(object, name) else { return 0 };
        let number = PyLong_AsLong(value.0);
        PyErr_Clear();
        u32::try_from(number).unwrap_or(0)
    }
}
