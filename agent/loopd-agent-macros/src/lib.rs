//! The `#[loopd_agent::main]` attribute. Use it through `loopd_agent`, which documents it.

use proc_macro::TokenStream;
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ItemFn, Lit, Meta, Token, parse_macro_input};

/// Runs an `async fn main` on a tokio runtime that is recorded.
///
/// Takes the place of `#[tokio::main]`: starts the agent from the environment, builds a runtime
/// with everything enabled and loopd's hooks in it, runs the function as its root task, and sends
/// what is left at the end. If the agent cannot start, the program runs without it, and
/// `loopd_agent::stats().start_error` says why.
///
/// ```ignore
/// #[loopd_agent::main]
/// async fn main() {}
///
/// #[loopd_agent::main(flavor = "current_thread", name = "main")]
/// async fn main() -> Result<(), Error> {}
/// ```
///
/// `flavor` is `"multi_thread"` (the default) or `"current_thread"`; `worker_threads` counts the
/// threads of the former; `name` is what the runtime is called, by default `"main"`; `tracing = true`
/// makes the agent the program's `tracing` subscriber, for programs that install none.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments =
        parse_macro_input!(arguments with Punctuated::<Meta, Token![,]>::parse_terminated);
    let function = parse_macro_input!(item as ItemFn);
    expand(&arguments, &function).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// The attribute's arguments.
struct Arguments {
    is_current_thread: bool,
    worker_threads: Option<syn::LitInt>,
    is_traced: bool,
    name: syn::LitStr,
}

fn expand(
    arguments: &Punctuated<Meta, Token![,]>,
    function: &ItemFn,
) -> syn::Result<proc_macro2::TokenStream> {
    let Arguments { is_current_thread, worker_threads, is_traced, name } = read(arguments)?;
    let ItemFn { attrs, vis, sig, block } = function;
    if sig.asyncness.is_none() {
        let message = "`#[loopd_agent::main]` needs an `async fn`";
        return Err(syn::Error::new_spanned(sig.fn_token, message));
    }
    if !sig.inputs.is_empty() {
        let message = "`#[loopd_agent::main]` takes a function without arguments";
        return Err(syn::Error::new_spanned(&sig.inputs, message));
    }
    let mut sig = sig.clone();
    sig.asyncness = None;
    let output = match &sig.output {
        syn::ReturnType::Default => quote!(()),
        syn::ReturnType::Type(_, output) => quote!(#output),
    };
    let worker_threads = match worker_threads {
        Some(threads) => quote!(::core::option::Option::Some(#threads)),
        None => quote!(::core::option::Option::None),
    };
    // The type is spelled out so that a wrong one is reported in the function, not in here.
    let body = quote_spanned!(block.span() => {
        let body: _ = async {
            #[allow(clippy::diverging_sub_expression, reason = "a body may never return")]
            let output: #output = #block;
            #[allow(unreachable_code, reason = "a body may never return")]
            output
        };
        ::loopd_agent::__private::run(
            ::loopd_agent::__private::Main {
                is_current_thread: #is_current_thread,
                worker_threads: #worker_threads,
                is_traced: #is_traced,
                name: #name,
            },
            body,
        )
    });
    Ok(quote!(#(#attrs)* #vis #sig #body))
}

fn read(arguments: &Punctuated<Meta, Token![,]>) -> syn::Result<Arguments> {
    let mut read = Arguments {
        is_current_thread: false,
        worker_threads: None,
        is_traced: false,
        name: syn::LitStr::new("main", proc_macro2::Span::call_site()),
    };
    for argument in arguments {
        let Meta::NameValue(pair) = argument else {
            return Err(unknown(argument));
        };
        let Expr::Lit(ExprLit { lit, .. }) = &pair.value else {
            return Err(syn::Error::new_spanned(&pair.value, "expected a literal"));
        };
        match (pair.path.get_ident().map(ToString::to_string).as_deref(), lit) {
            (Some("flavor"), Lit::Str(flavor)) => {
                read.is_current_thread = match flavor.value().as_str() {
                    "current_thread" => true,
                    "multi_thread" => false,
                    _ => {
                        let message = "flavor is \"multi_thread\" or \"current_thread\"";
                        return Err(syn::Error::new_spanned(flavor, message));
                    }
                };
            }
            (Some("worker_threads"), Lit::Int(threads)) => {
                if threads.base10_parse::<usize>()? == 0 {
                    return Err(syn::Error::new_spanned(threads, "worker_threads is at least 1"));
                }
                read.worker_threads = Some(threads.clone());
            }
            (Some("tracing"), Lit::Bool(is_traced)) => read.is_traced = is_traced.value,
            (Some("name"), Lit::Str(name)) => read.name = name.clone(),
            _ => return Err(unknown(argument)),
        }
    }
    if let (true, Some(threads)) = (read.is_current_thread, &read.worker_threads) {
        let message = "a current_thread runtime has no worker_threads";
        return Err(syn::Error::new_spanned(threads, message));
    }
    Ok(read)
}

fn unknown(argument: &Meta) -> syn::Error {
    let message = "expected flavor = \"…\", worker_threads = …, tracing = true or name = \"…\"";
    syn::Error::new_spanned(argument, message)
}
