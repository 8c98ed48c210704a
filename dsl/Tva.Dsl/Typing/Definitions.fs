/// What a program refers to by number: bases, rules, row spaces and stacks.
namespace Tva.Dsl.Typing

open System.Collections.Generic
open Tva.Core.Bases
open Tva.Core.Execution
open Tva.Dsl
open Tva.Dsl.Graph

/// How a basis comes about.
[<RequireQualifiedAccess>]
type BasisOrigin =
    /// From its tasks, which are its sources.
    | Tasks
    /// From the atoms of another basis and a newcomer, its sources in this order: coefficients alone where the newcomer's relative
    /// error stays below the threshold, else a refit.
    | Growth of previous: int * threshold: float
    /// As the previous, with a further atom for what the newcomer has beyond the others.
    | Extension of previous: int
    /// From a folder.
    | Stored of path: string
    /// One atom for each cluster of a basis by clusters, merged otherwise than by a weighted sum; sources are the tasks, then these atoms.
    | Merged of clusters: int
    /// No atoms: only the dot products of its tasks are asked for.
    | Measured

/// A basis over one group: the whole model, a layer or a tensor. Matrices count the mean as the last atom, where there is one.
type BasisGroup =
    { Label: string
      /// Of the tasks, T×T.
      Gram: float[,]
      /// Of sources in atoms, K×M.
      Weights: float[,]
      /// Of atoms in members, M×T.
      Coefficients: float[,]
      Report: BasisReport }

/// A basis before its numbers are known.
type BasisDefinition =
    { Names: string list
      Options: BasisOptions
      /// Over what a set of numbers holds: All, Layer or Tensor.
      By: Extent
      Origin: BasisOrigin
      Set: TensorSet
      Sources: TensorValue list
      /// The dot products of the sources, i <= j, by i.
      Gram: Node list list }

/// A basis whose numbers are known; a matrix stands for each group, which is the whole model, a layer or a tensor.
type SolvedBasis =
    { /// How many atoms it has, the mean not counted.
      Atoms: int
      Groups: BasisGroup list
      Report: BasisReport
      /// Whether every atom is known to be a convex combination of the tasks.
      IsConvex: bool
      /// The value of a number, one for each tensor where the groups differ.
      Number: BasisNumber -> Op }

/// A number that follows from others: what it needs, and how. The rule throws a fault where the numbers allow none.
[<ReferenceEquality>]
type Derivation = { Needs: Node list; Value: float list -> float }

/// Task vectors whose row spaces are compared, in matrices of these names, by so many leading directions.
type AngleSet =
    { Sources: TensorValue list
      Set: TensorSet
      Rank: int
      Tensors: string list }

/// A stack of layers: the tensors of a checkpoint of its own, which follows from others by renaming.
type StackDefinition =
    { /// For each of its layers that of the part that it is.
      Layers: int list
      /// The numbers of a part as they are in the stack, by part and node.
      Rebuilt: Dictionary<struct (int * int), Node> }

/// A source under the names that a stack gives its layers.
type StackView =
    { /// The source whose tensors it renames.
      Of: int
      /// The layers of that source that become the stack's 0, 1, ...
      Layers: int list
      /// How many tensors the source had: it may list others later.
      Tensors: int
      /// Stack and part where the source has tensors that are copied: those must agree among the sources of a part, not of different ones.
      Part: struct (int * int) option }
