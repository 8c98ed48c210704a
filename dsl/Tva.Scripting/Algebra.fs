/// The language's functions for F#: `baseModel + 0.5 * a - basis 8 b |> save "out/m.safetensors"`. Operators stand with the type.
/// In a script of its own (`#r "Tva.Scripting.dll"`): `let tva = new Session(__SOURCE_DIRECTORY__)`, then `tva.Model "base.safetensors"`.
module Tva.Scripting.Algebra

/// Any function of the language: `call "ties" [ tasks ] [ "density", 0.2 ]`; `tva ops` lists them.
let call (name: string) (arguments: Expression list) (options: (string * objnull) list) : Expression =
    match arguments with
    | [] -> raise (TvaException($"`{name}` needs an expression; without one, write `tva.Call(\"{name}\", ...)`", []))
    | first :: _ -> first.Session.Call(name, (arguments |> List.map (fun a -> a :> objnull)), options)

let private one (name: string) (x: Expression) : Expression = x.Session.Call(name, x)

// Over members

let sum (family: Expression) = one "sum" family
let mean (family: Expression) = one "mean" family
let median (family: Expression) = one "median" family

/// Σ wᵢ·δᵢ.
let weighted (weights: float list) (family: Expression) = family.Session.Call("weighted", family, weights)

/// TIES, with the share of each member's elements that is kept.
let ties (density: float) (family: Expression) = family.Session.Call("ties", family, density)

/// DARE, with the share of elements kept and the seed.
let dare (density: float) (seed: int) (family: Expression) = call "dare" [ family ] [ "density", density; "seed", seed ]

/// So many atoms for a family, or a member seen in its family's basis.
let basis (atoms: int) (x: Expression) = x.Session.Call("basis", x, atoms)
let atoms (basis: Expression) = one "atoms" basis
let coefficients (basis: Expression) = one "coefficients" basis
let errors (basis: Expression) = one "errors" basis
let similarity (family: Expression) = one "similarity" family

// Over elements

let norm (x: Expression) = one "norm" x
let dot (a: Expression) (b: Expression) = a.Session.Call("dot", a, b)
let cosine (a: Expression) (b: Expression) = a.Session.Call("cosine", a, b)
let stats (x: Expression) = one "stats" x

/// The largest magnitudes of each tensor, that share of them.
let trim (density: float) (x: Expression) = x.Session.Call("trim", x, density)
let sign' (x: Expression) = one "sign" x
let min' (a: Expression) (b: objnull) = a.Session.Call("min", a, b)
let max' (a: Expression) (b: objnull) = a.Session.Call("max", a, b)

/// At the tensors whose names match, zero elsewhere.
let where (glob: string) (x: Expression) = x.Where glob

/// A Model's plain numbers as a Delta from zero, and back.
let raw (x: Expression) = one "raw" x
let point (x: Expression) = one "point" x

/// A Scalar as a .NET number, computed now.
let number (x: Expression) : float = x.Number

/// A Table's rows as .NET numbers, computed now.
let rows (x: Expression) : (string * float list) list = x.Rows

/// Writes it now.
let save (path: string) (x: Expression) : unit = x.Session.Call("save", x, path) |> ignore

/// The same, with options: `saveAs "m.safetensors" [ "dtype", "bf16" ]`.
let saveAs (path: string) (options: (string * objnull) list) (x: Expression) : unit = x.Session.Call("save", [ x :> objnull; path ], options) |> ignore
