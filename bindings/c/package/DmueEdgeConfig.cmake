# find_package(DmueEdge) gives the target DmueEdge::DmueEdge, wherever this folder was unpacked.
get_filename_component(_dmue_edge_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET DmueEdge::DmueEdge)
  add_library(DmueEdge::DmueEdge SHARED IMPORTED)
  set_target_properties(DmueEdge::DmueEdge PROPERTIES
    IMPORTED_LOCATION "${_dmue_edge_prefix}/lib/libdmue_edge.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_dmue_edge_prefix}/include")
endif()
set(DmueEdge_MODEL "${_dmue_edge_prefix}/share/dmue-edge/edge.dmue.onnx")
unset(_dmue_edge_prefix)
