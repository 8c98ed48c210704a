/// What a mergekit configuration says, with the place of everything that can be wrong later.
namespace Tva.Import

open Tva.Dsl

/// A path with a revision of it, as Hugging Face has them.
type Place = { Path: string; Revision: string option }

/// A model, or a model with an adapter added.
[<CustomEquality; NoComparison>]
type Reference =
    { Model: Place
      Lora: Place option
      Span: Span }

    /// Two are the same model wherever they stand.
    override a.Equals other =
        match other with
        | :? Reference as b -> a.Model = b.Model && a.Lora = b.Lora
        | _ -> false

    override a.GetHashCode() = hash (a.Model, a.Lora)

    override a.ToString() =
        let text (p: Place) = match p.Revision with Some r -> $"{p.Path}@{r}" | None -> p.Path
        match a.Lora with
        | Some lora -> $"{text a.Model}+{text lora}"
        | None -> text a.Model

/// What holds where a tensor's name has the filter in it (None: everywhere): one number, or several to go between over the layers.
type Case =
    { Filter: string option
      Numbers: float list
      Span: Span }

type Setting =
    { Name: string
      Span: Span
      /// The first that fits holds.
      Cases: Case list }

type Parameters = Setting list

/// One of the models of a merge, whole or some layers of it: from the first to before the last.
type Source =
    { Model: Reference
      Layers: (int * int) option
      Parameters: Parameters
      Span: Span }

/// Some layers of the output.
type Slice =
    { Sources: Source list
      Base: Reference option
      Parameters: Parameters
      Span: Span }

/// A part of a model that the architecture names: its slices, or one that is all of it.
type Module =
    { Name: string
      Slices: Slice list
      /// From `models`: then the base is added where it isn't one of them.
      Whole: bool
      Parameters: Parameters
      Span: Span }

/// One document: one merge.
type Config =
    { Name: string option
      Method: string
      MethodSpan: Span
      Base: Reference option
      /// `base_model` is written, though it may be no model.
      HasBase: bool
      /// One of no name, unless the document has `modules`.
      Modules: Module list
      Parameters: Parameters
      DType: string option
      OutDType: string option
      /// What is about tokenizers and templates: keys with their places.
      Vocabulary: (string * Span) list
      Span: Span }
