/// The tree a text is parsed to: every node knows its place, and has an Error case so that parsing never fails.
namespace Tva.Dsl.Syntax

open Tva.Dsl

/// A name where it stands.
type Ident = { Text: string; Span: Span }

type UnaryOp =
    | Negate
    | Not

type BinaryOp =
    | Add
    | Subtract
    | Multiply
    | Divide
    | Power
    | Less
    | LessEqual
    | Greater
    | GreaterEqual
    | Equal
    | NotEqual
    | And
    | Or

/// `f(x) @g(a)` binds tighter than everything else, `x |> f(a)` looser.
type PipeKind =
    | Tight
    | Loose

type Expr = { Node: ExprNode; Span: Span }

and ExprNode =
    | Number of float
    | Text of string
    | Bool of bool
    | Name of string
    | List of Expr list
    /// `{ a = e; b = e; result }`
    | Block of (Ident * Expr) list * Expr
    /// `{ a: e, "*.attn.*": e, else: e }`
    | Record of (RecordKey * Expr) list
    | Call of callee: Ident * Arg list
    /// `x @f(a)` and `x |> f(a)`: `f(x, a)`. `@f` without brackets is `@f()`.
    | Pipe of PipeKind * source: Expr * callee: Ident * Arg list
    | Member of Expr * Ident
    /// `x[where]`
    | Index of Expr * Expr
    | Unary of UnaryOp * Expr
    | Binary of BinaryOp * Expr * Expr
    | Range of first: Expr * last: Expr * by: Expr option
    /// `fs "..."`
    | FSharp of string
    /// What could not be read; already reported.
    | Error

and RecordKey =
    | Key of Ident
    | Glob of Ident
    | Else of Span

/// `e` or `name = e` inside a call.
and Arg = { Name: Ident option; Value: Expr }

/// `x: Delta = e`; the type may be left out.
type Param =
    { Name: Ident
      Type: Ident option
      Default: Expr option }

type Definition =
    { Name: Ident
      Params: Param list
      Result: Ident option
      Body: Expr
      /// The `##` lines right above, without the marks.
      Doc: string }

type Statement = { Node: StatementNode; Span: Span }

and StatementNode =
    | Let of Ident * Expr
    | Def of Definition
    | Assert of Expr * message: Expr option
    | Print of Expr list
    | Param of Ident * Expr
    | Include of Ident
    | Expression of Expr
    /// `fs """..."""` at statement level.
    | FSharpDefinitions of Ident
    | ErrorStatement
