module Tva.Tests.ImportTextTests
