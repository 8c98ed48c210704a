/// mergekit's merge methods (0.1.4) as tables: what each takes, with mergekit's own defaults, and what it does with `base_model`.
module Tva.Import.Methods

/// Required: there is no merge without it. Optional: what the models are measured from, where there is one.
/// Member: a model like the others.
type BaseRole =
    | Required
    | Optional
    | Member

type Parameter =
    { Name: string
      /// Each model may have its own.
      PerModel: bool
      /// None: must be given.
      Default: float option }

type Method =
    { Name: string
      Base: BaseRole
      /// How many models besides the base: at least and at most.
      Least: int
      Most: int
      Parameters: Parameter list }

let private each name fallback = { Name = name; PerModel = true; Default = fallback }
let private all name fallback = { Name = name; PerModel = false; Default = Some fallback }
let private must name = { Name = name; PerModel = false; Default = None }

let private row name role least most parameters = { Name = name; Base = role; Least = least; Most = most; Parameters = parameters }

let private many = 1_000_000

/// The methods on task vectors: what they normalize and rescale by default, and what more each model has.
let private vectors name (normalize: bool) (rescale: bool) more =
    row name Required 0 many
        ([ each "weight" None; each "density" (Some 1.0) ]
         @ more
         @ [ all "normalize" (if normalize then 1.0 else 0.0)
             all "rescale" (if rescale then 1.0 else 0.0)
             all "lambda" 1.0
             all "int8_mask" 0.0 ])

let table =
    [ row "linear" Member 1 many [ each "weight" None; all "normalize" 1.0 ]
      row "slerp" Required 1 1 [ must "t" ]
      row "nuslerp" Optional 2 2 [ each "weight" None; all "nuslerp_flatten" 1.0; all "nuslerp_row_wise" 0.0 ]
      row "multislerp" Optional 1 many [ each "weight" None; all "normalize_weights" 1.0; all "eps" 1e-8 ]
      row "karcher" Member 1 many [ all "max_iter" 10.0; all "tol" 1e-5 ]
      vectors "task_arithmetic" false false []
      vectors "ties" true false []
      vectors "dare_linear" false true []
      vectors "dare_ties" false true []
      vectors "della" true true [ each "epsilon" (Some 0.15) ]
      vectors "della_linear" false true [ each "epsilon" (Some 0.15) ]
      vectors "breadcrumbs" false false [ each "gamma" (Some 0.01) ]
      vectors "breadcrumbs_ties" false false [ each "gamma" (Some 0.01) ]
      row "model_stock" Required 2 many [ all "filter_wise" 0.0 ]
      row "sce" Required 0 many [ all "select_topk" 1.0; all "int8_mask" 0.0 ]
      row "nearswap" Required 0 1 [ must "t" ]
      row "arcee_fusion" Required 0 1 []
      row "ram" Required 0 many [ all "epsilon" 1e-5 ]
      row "ramplus_tl" Required 0 many [ all "r" 0.1; all "alpha" 0.2; all "epsilon" 1e-5 ]
      row "passthrough" Member 1 1 [ each "scale" (Some 1.0) ] ]

let names = table |> List.map _.Name

let find name = table |> List.tryFind (fun m -> m.Name = name)

/// Every parameter that some method has.
let parameterNames = table |> List.collect (fun m -> m.Parameters |> List.map _.Name) |> List.distinct
